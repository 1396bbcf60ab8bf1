// Retrieval during training: the retrieval room's figures, for a trainer that does not know that room.
#pragma once

#include "capture/train/pretrain.h"

namespace capture {

/// Opens gallery and queries of config.evaluation. What it returns embeds both with a model, each rank its share,
/// searches, and gives the strict figures over all queries: "mAP@10", "Prec@10", "Recall@10", "R-Precision", "MRR", in
/// [0, 1]. UserError, now, when the recipe is unknown, the data does not fit the model or is not the same on all ranks,
/// which call this together, or strict refuses the lists (no labels, ids that stand twice, queries without a product in
/// the gallery). The config and the parts must outlive it.
GalleryEvaluation make_gallery_evaluation(const TrainConfig& config, const TrainingParts& parts,
                                          const ProcessGroup& group);

}  // namespace capture
