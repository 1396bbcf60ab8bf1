#include "capture_train/gallery_evaluation.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "capture/base/error.h"
#include "capture/retrieval/embedder.h"
#include "capture/retrieval/protocols.h"
#include "capture/retrieval/ranker.h"
#include "capture/retrieval/recipe.h"

namespace capture {

namespace {

constexpr int64_t kAt = 10;
// As deep as capture_eval ranks, so that its figures are the same.
constexpr int64_t kSmallGallery = 10000;
constexpr int64_t kDepthOfLarge = 1000;

/// The datasets, and what is right for which query.
struct Question {
  explicit Question(const GalleryOptions& options)
      : gallery({options.gallery.begin(), options.gallery.end()}),
        queries({options.queries.begin(), options.queries.end()}),
        gallery_list(product_list(gallery, "evaluation.gallery")),
        query_list(product_list(queries, "evaluation.queries")),
        truth(gallery_list, std::span(&query_list, 1)) {}

  Dataset gallery;
  Dataset queries;
  ProductList gallery_list;
  ProductList query_list;
  GroundTruth truth;
};

StrictResult strict_result(const GroundTruth& truth, const Rankings& rankings) {
  return *evaluate(truth, rankings, {.protocol = Protocol::strict, .at = {kAt}}).strict;
}

void require_fit(const Dataset& data, const TrainConfig& config, const std::string& key) {
  if (data.feature_width() != config.model.feature_width) {
    throw UserError({.what = key + " has features of width " + std::to_string(data.feature_width()) +
                             ", and the training data of " + std::to_string(config.model.feature_width),
                     .where = "the configuration",
                     .hint = "make both with the same options"});
  }
  config.model.require_positions(config.loader.max_tokens, kept_regions(data, config.loader.max_regions));
}

EmbedderOptions embedder_options(const TrainConfig& config, const Recipe& recipe, const ProcessGroup& group) {
  return {.batch_size = config.loader.batch_size,
          .workers = config.loader.workers,
          .max_tokens = config.loader.max_tokens,
          .max_regions = config.loader.max_regions,
          .precision = config.trainer.precision,
          .pooled = recipe.stage == RecipeStage::post,
          .packed = config.trainer.packed,
          .rank = group.rank(),
          .world_size = group.world_size()};
}

/// [N, E], of which each row is one rank's and zero on the others → all rows, on every rank.
at::Tensor united(at::Tensor rows, const ProcessGroup& group) {
  group.sum(rows);
  return rows;
}

/// A search would refuse them too, but does not know where they come from. All ranks have all rows: all refuse.
void require_finite(const at::Tensor& rows, const Dataset& data, const std::string& key) {
  const at::Tensor bad = at::isfinite(rows).all(1).logical_not().nonzero();
  if (bad.size(0) == 0) return;
  const auto first = bad[0].item<int64_t>();
  throw UserError(
      {.what = key + ": of the " + std::to_string(rows.size(0)) + " embeddings, " + std::to_string(bad.size(0)) +
               (bad.size(0) == 1 ? " is" : " are") + " not finite, the first that of '" +
               std::string(data.sample(first).id()) + "'",
       .where = data.where(first),
       .hint =
           "the features or the weights hold NaN or infinite values; `capture_data verify` finds those of features"});
}

/// Embedding packs weights. Those that are frozen would stay so, and the validations of this run would round
/// differently from those of a resumed one.
class UnpackedAfterwards {
 public:
  explicit UnpackedAfterwards(HybridStreamModel& model) : model_(model) {}
  ~UnpackedAfterwards() { model_->unpack(); }
  UnpackedAfterwards(const UnpackedAfterwards&) = delete;
  UnpackedAfterwards& operator=(const UnpackedAfterwards&) = delete;

 private:
  HybridStreamModel& model_;
};

/// What strict_result says of lists names the options of a program that ranks.
void require_answerable(const GroundTruth& truth, int64_t depth) {
  try {
    strict_result(truth, rank_by_chance(truth, depth, 1));
  } catch (const UserError& error) {
    UserError::Parts parts = error.parts();
    parts.hint = "correct evaluation.gallery or evaluation.queries";
    throw UserError(std::move(parts));
  }
}

/// Thrown through embed() when the run is to stop.
struct LeftOff {};

GalleryFigures figures_of(const StrictResult& result) {
  const StrictMeans means = result.means(QueryGroup::all);
  const StrictScores& first = means.at.front();
  return {{"mAP@10", first.average_precision},
          {"Prec@10", first.precision},
          {"Recall@10", first.recall},
          {"R-Precision", means.r_precision},
          {"MRR", means.mean_reciprocal_rank}};
}

}  // namespace

GalleryEvaluation make_gallery_evaluation(const TrainConfig& config, const TrainingParts& parts,
                                          const ProcessGroup& group) {
  const Recipe recipe = parse_recipe(config.evaluation.recipe, "evaluation.recipe");
  const auto question = std::make_shared<const Question>(config.evaluation);
  group.require_same("the content of evaluation.gallery", question->gallery.fingerprint());
  group.require_same("the content of evaluation.queries", question->queries.fingerprint());
  const int64_t size = question->truth.gallery_size();
  const int64_t depth = size <= kSmallGallery ? size : kDepthOfLarge;
  const EmbedderOptions options = embedder_options(config, recipe, group);
  for (const Dataset* data : {&question->gallery, &question->queries}) {
    require_fit(*data, config, data == &question->gallery ? "evaluation.gallery" : "evaluation.queries");
  }
  require_answerable(question->truth, depth);
  const auto measure = [&parts, group, recipe, question, depth, options](
                           HybridStreamModel& model, const StopQuestion& stopping) -> std::optional<GalleryFigures> {
    const at::NoGradGuard no_gradient;
    const UnpackedAfterwards unpacked(model);
    const auto leave_when_asked = [&](int64_t) {
      if (stopping && stopping()) throw LeftOff();
    };
    const auto vectors = [&](const Dataset& data, RecipeSide side) {
      const PairEmbeddings found = embed(model, parts.device, data, *parts.tokenizer, options, leave_when_asked);
      return united(apply(recipe, side, found).to(parts.device), group);
    };
    try {
      const at::Tensor gallery = vectors(question->gallery, RecipeSide::gallery);
      const at::Tensor queries = vectors(question->queries, RecipeSide::query);
      require_finite(gallery, question->gallery, "evaluation.gallery");
      require_finite(queries, question->queries, "evaluation.queries");
      return figures_of(strict_result(question->truth, rank(queries, gallery, question->truth, {.depth = depth})));
    } catch (const LeftOff&) {
      return std::nullopt;
    }
  };
  return {measure, question->gallery.fingerprint() + " " + question->queries.fingerprint() + " " + name_of(recipe)};
}

}  // namespace capture
