#include "static_batch.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace capture {

namespace {

/// Few shapes, and little padding.
constexpr int64_t kGrain = 8;

int64_t in_grains(int64_t size, int64_t most) {
  return std::min((size + kGrain - 1) / kGrain * kGrain, most);
}

/// Rows for those that are masked among so many positions, each with this probability on its own: six deviations more
/// than there are in the mean.
int64_t rows_for(int64_t positions, double probability) {
  const double mean = static_cast<double>(positions) * probability;
  const double most = std::ceil(mean + 6 * std::sqrt(mean * (1 - probability)));
  return in_grains(static_cast<int64_t>(most) + kGrain, positions);
}

/// The first numbers of the memory, in these sizes.
at::Tensor first_of(const at::Tensor& memory, at::IntArrayRef sizes) {
  return memory.flatten().narrow(0, 0, c10::multiply_integers(sizes)).view(sizes);
}

/// The values, and `filling` behind them.
void put(const at::Tensor& place, const at::Tensor& values, int64_t dimension, int64_t filling = 0) {
  const int64_t size = values.size(dimension);
  const int64_t rest = place.size(dimension) - size;
  place.narrow(dimension, 0, size).copy_(values, /*non_blocking=*/true);
  if (rest > 0) place.narrow(dimension, size, rest).fill_(filling);
}

/// Rows of [B, from] as rows of [B, to].
at::Tensor moved_rows(const at::Tensor& rows, int64_t from, int64_t to) {
  return from == to ? rows : rows + at::floor_divide(rows, from) * (to - from);
}

}  // namespace

StaticBatch::StaticBatch(const TrainConfig& config, int64_t max_regions, at::Device device, const Batch& like)
    : most_{.pairs = config.loader.batch_size, .tokens = config.loader.max_tokens, .regions = 1 + max_regions},
      token_probability_(config.masking.token_probability),
      region_probability_(config.masking.region_probability) {
  const at::TensorOptions floats = at::TensorOptions(device).dtype(at::kFloat);
  const at::TensorOptions integers = floats.dtype(at::kLong);
  const at::TensorOptions bools = floats.dtype(at::kBool);
  const int64_t width = like.inputs.region_features.size(2);
  const int64_t tokens = token_rows(most_), regions = region_rows(most_);
  memory_.inputs.token_ids = at::zeros({most_.pairs, most_.tokens}, integers);
  memory_.inputs.text_mask = at::zeros({most_.pairs, most_.tokens}, bools);
  memory_.inputs.region_features = at::zeros({most_.pairs, most_.regions, width}, floats);
  memory_.inputs.region_locations = at::zeros({most_.pairs, most_.regions, 5}, floats);
  memory_.inputs.region_mask = at::zeros({most_.pairs, most_.regions}, bools);
  memory_.targets.token_rows = at::zeros({tokens}, integers);
  memory_.targets.token_ids = at::zeros({tokens}, integers);
  memory_.targets.region_rows = at::zeros({regions}, integers);
  memory_.targets.region_features = at::zeros({regions, width}, floats);
  if (like.targets.region_classes.defined()) {
    memory_.targets.region_classes = at::zeros({regions, like.targets.region_classes.size(1)}, floats);
  }
  memory_.targets.token_count = at::zeros({}, integers);
  memory_.targets.region_count = at::zeros({}, integers);
}

int64_t StaticBatch::token_rows(const BatchShape& shape) const {
  return rows_for(shape.pairs * shape.tokens, token_probability_);
}

int64_t StaticBatch::region_rows(const BatchShape& shape) const {
  return rows_for(shape.pairs * shape.regions, region_probability_);
}

std::optional<BatchShape> StaticBatch::shape_of(const Batch& batch) const {
  const int64_t tokens = batch.inputs.token_ids.size(1), regions = batch.inputs.region_mask.size(1);
  BatchShape shape{.pairs = batch.inputs.size(),
                   .tokens = in_grains(tokens, most_.tokens),
                   .regions = in_grains(regions, most_.regions)};
  TORCH_INTERNAL_ASSERT(shape.pairs <= most_.pairs && tokens <= shape.tokens && regions <= shape.regions);
  shape.text_padded = batch.inputs.text_padded || tokens < shape.tokens;
  shape.regions_padded = batch.inputs.regions_padded || regions < shape.regions;
  const bool fits =
      batch.targets.token_rows.size(0) <= token_rows(shape) && batch.targets.region_rows.size(0) <= region_rows(shape);
  return fits ? std::optional(shape) : std::nullopt;
}

PlacedBatch StaticBatch::in_shape(const BatchShape& shape) const {
  const auto& [inputs, targets] = memory_;
  const int64_t tokens = token_rows(shape), regions = region_rows(shape);
  const int64_t width = inputs.region_features.size(2);
  PlacedBatch placed = memory_;
  placed.inputs.token_ids = first_of(inputs.token_ids, {shape.pairs, shape.tokens});
  placed.inputs.text_mask = first_of(inputs.text_mask, {shape.pairs, shape.tokens});
  placed.inputs.region_features = first_of(inputs.region_features, {shape.pairs, shape.regions, width});
  placed.inputs.region_locations = first_of(inputs.region_locations, {shape.pairs, shape.regions, 5});
  placed.inputs.region_mask = first_of(inputs.region_mask, {shape.pairs, shape.regions});
  placed.inputs.text_padded = shape.text_padded;
  placed.inputs.regions_padded = shape.regions_padded;
  placed.targets.token_rows = targets.token_rows.narrow(0, 0, tokens);
  placed.targets.token_ids = targets.token_ids.narrow(0, 0, tokens);
  placed.targets.region_rows = targets.region_rows.narrow(0, 0, regions);
  placed.targets.region_features = targets.region_features.narrow(0, 0, regions);
  if (targets.region_classes.defined()) {
    placed.targets.region_classes = targets.region_classes.narrow(0, 0, regions);
  }
  return placed;
}

void StaticBatch::fill(const PlacedBatch& place, const Batch& batch) {
  const at::Device device = place.inputs.token_ids.device();
  const PairBatch inputs = to(batch.inputs, device);
  put(place.inputs.token_ids, inputs.token_ids, 1);
  put(place.inputs.text_mask, inputs.text_mask, 1);
  put(place.inputs.region_features, inputs.region_features, 1);
  put(place.inputs.region_locations, inputs.region_locations, 1);
  put(place.inputs.region_mask, inputs.region_mask, 1);

  const MaskedTargets targets = to(batch.targets, device);
  const auto width_of = [](const at::Tensor& mask) { return mask.size(1); };
  put(place.targets.token_rows,
      moved_rows(targets.token_rows, width_of(inputs.text_mask), width_of(place.inputs.text_mask)), 0);
  put(place.targets.token_ids, targets.token_ids, 0, MaskedTargets::kNoToken);
  put(place.targets.region_rows,
      moved_rows(targets.region_rows, width_of(inputs.region_mask), width_of(place.inputs.region_mask)), 0);
  put(place.targets.region_features, targets.region_features, 0);
  if (place.targets.region_classes.defined()) put(place.targets.region_classes, targets.region_classes, 0);
  place.targets.token_count.fill_(targets.token_rows.size(0));
  place.targets.region_count.fill_(targets.region_rows.size(0));
}

}  // namespace capture
