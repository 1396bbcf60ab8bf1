#include "capture/train/flops.h"

#include <ATen/ATen.h>

namespace capture {

namespace {

/// Sums of the lengths of both sides, from where each pair's rows are.
void add_lengths(const at::Tensor& tokens, const at::Tensor& regions, BatchWork& work) {
  const int64_t* t = tokens.const_data_ptr<int64_t>();
  const int64_t* r = regions.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < work.pairs; ++i) {
    work.tokens += t[i];
    work.regions += r[i];
    work.token_squares += t[i] * t[i];
    work.region_squares += r[i] * r[i];
    work.token_regions += t[i] * r[i];
  }
}

/// Layers of one kind over one sequence.
struct Layer {
  double width;      // of the states
  double attention;  // of queries, keys and values
  double inner;      // of the feed-forward part
};

/// `rows` states come in, of which `rows_out` are wanted; queries × keys make `scores` pairs.
double layer_flops(const Layer& layer, double rows, double scores, double rows_out) {
  const double projections =
      2 * rows * layer.width * 3 * layer.attention + 2 * rows_out * layer.attention * layer.width;
  return projections + 4 * scores * layer.attention + 4 * rows_out * layer.width * layer.inner;
}

/// A stream of `count` layers; with `first_alone` the last one asks for the first row of each of `pairs` sequences.
double stream_flops(const StreamOptions& stream, double width, double rows, double squares, double pairs,
                    bool first_alone) {
  if (stream.layers == 0) return 0;
  const Layer layer{width, width, static_cast<double>(stream.feed_forward)};
  const double whole = layer_flops(layer, rows, squares, rows);
  const double last = first_alone ? layer_flops(layer, rows, rows, pairs) : whole;
  return static_cast<double>(stream.layers - 1) * whole + last;
}

double feature_flops(const HybridStreamModelOptions& model, const BatchWork& work) {
  return 2.0 * static_cast<double>(work.regions) * static_cast<double>(model.feature_width) *
         static_cast<double>(model.width);
}

/// Cross layers, joint blocks, and the heads at the masked rows.
double fusion_flops(const HybridStreamModelOptions& model, double tokens, double regions, const BatchWork& work,
                    double masked_tokens, double masked_regions) {
  const auto width = static_cast<double>(model.width);
  const auto projection = static_cast<double>(model.projection_width);
  const auto crossed = static_cast<double>(work.token_regions);
  const auto attention = static_cast<double>(model.cross.width);
  const Layer text{width, attention, static_cast<double>(model.text.feed_forward)};
  const Layer image{width, attention, static_cast<double>(model.image.feed_forward)};
  double total = static_cast<double>(model.cross.layers) *
                 (layer_flops(text, tokens, crossed, tokens) + layer_flops(image, regions, crossed, regions));
  if (model.co_transformer.layers > 0) {
    const Layer block{width, width, 4 * width};
    const auto squares = static_cast<double>(work.token_squares + 2 * work.token_regions + work.region_squares);
    total += static_cast<double>(model.co_transformer.layers - 1) *
                 layer_flops(block, tokens + regions, squares, tokens + regions) +
             layer_flops(block, tokens + regions, squares, masked_tokens + masked_regions);
  }
  // Output, then the head: back to the model's width, through its dense layer, and onto the classes.
  const double shared = width * projection + projection * width + width * width;
  total += 2 * masked_tokens * (shared + width * static_cast<double>(model.vocabulary_size));
  total += 2 * masked_regions * (shared + width * static_cast<double>(model.region_prediction_width()));
  return total;
}

}  // namespace

BatchWork work_of(const Batch& batch) {
  BatchWork work;
  if (batch.packed) {
    work.pairs = batch.packed->size();
    add_lengths(batch.packed->text_starts.diff().to(at::kLong), batch.packed->region_starts.diff().to(at::kLong), work);
  } else {
    work.pairs = batch.inputs.size();
    add_lengths(batch.inputs.text_mask.sum(1), batch.inputs.region_mask.sum(1), work);
  }
  if (batch.targets.token_rows.defined()) work.masked_tokens = batch.targets.token_rows.size(0);
  if (batch.targets.region_rows.defined()) work.masked_regions = batch.targets.region_rows.size(0);
  return work;
}

double forward_flops(const HybridStreamModelOptions& model, const PretrainingObjectiveOptions& objective,
                     const BatchWork& work) {
  const auto width = static_cast<double>(model.width);
  const auto pairs = static_cast<double>(work.pairs);
  const auto tokens = static_cast<double>(work.tokens);
  const auto regions = static_cast<double>(work.regions);
  const bool masked = objective.masked_tokens > 0 || objective.masked_regions > 0;
  double total = feature_flops(model, work) + 2 * regions * 5 * width;  // 5 numbers say where a region is
  total += stream_flops(model.text, width, tokens, static_cast<double>(work.token_squares), pairs, !masked);
  total += stream_flops(model.image, width, regions, static_cast<double>(work.region_squares), pairs, !masked);
  total += 2 * 2 * pairs * width * static_cast<double>(model.projection_width);
  if (!masked) return total;
  return total + fusion_flops(model, tokens, regions, work,
                              objective.masked_tokens > 0 ? static_cast<double>(work.masked_tokens) : 0,
                              objective.masked_regions > 0 ? static_cast<double>(work.masked_regions) : 0);
}

double training_flops(const HybridStreamModelOptions& model, const PretrainingObjectiveOptions& objective,
                      const BatchWork& work) {
  return 3 * forward_flops(model, objective, work) - feature_flops(model, work);
}

}  // namespace capture
