// The systems that a model is held against, and all of them side by side.
#pragma once

#include <string>
#include <vector>

#include "capture/base/json.h"
#include "capture/report/report.h"
#include "capture/retrieval/protocols.h"
#include "capture_eval/output_folder.h"

namespace capture {

/// One way to rank the gallery, and how well it did.
struct System {
  std::string name;
  std::string note;
  Evaluation evaluation;
};

/// Random rankings, averaged over 20 seeds: its lines are those of all seeds, one after the other. UserError when the
/// strict protocol refuses the lists, before any time goes into embedding.
System chance_system(const GroundTruth& truth, int64_t depth, const EvaluationOptions& options);

/// One table for single-product queries, one for multi-product ones, one for all: systems × strict mAP at the first two
/// cutoffs, strict Prec and official mAP at the first. The last system is the model.
std::vector<ReportTable> system_tables(const std::vector<System>& systems);

/// {"chance": {"all": {"product1m_official": …, "strict": …}, "single": …, "multi": …}, …}.
Json systems_json(const std::vector<System>& systems);

/// systems.jsonl: every figure of every ranking behind those means, one line each; those of chance seed by seed.
void write_systems(OutputFolder& output, const GroundTruth& truth, const std::vector<System>& systems);

}  // namespace capture
