#include "capture/tensor/pair_batch.h"

#include <ATen/ATen.h>

namespace capture {

namespace {

at::Tensor moved(const at::Tensor& tensor, at::Device device) {
  return tensor.defined() ? tensor.to(device, /*non_blocking=*/true) : tensor;
}

/// Features on the device as float32.
at::Tensor widened(const at::Tensor& features, at::Device device) {
  return features.defined() ? moved(features, device).to(at::kFloat) : features;
}

bool is_half(const at::Tensor& features) {
  return features.defined() && features.scalar_type() == at::kHalf;
}

/// Row 0 of each pair is zero, and so is padding: the sum is that of the regions.
void fill_global_region(at::Tensor& features, const at::Tensor& mask) {
  const at::Tensor regions = (mask.sum(1, true) - 1).to(at::kFloat);
  features.select(1, 0).copy_(features.sum(1) / regions);
}

void fill_global_regions(at::Tensor& features, const at::Tensor& starts) {
  const at::Tensor counts = starts.diff().to(at::kLong);
  // Checking the counts, which are right, would wait for a GPU.
  const at::Tensor sums =
      at::segment_reduce(features, "sum", counts, /*indices=*/{}, /*offsets=*/{}, /*axis=*/0, /*unsafe=*/true);
  const at::Tensor first = starts.slice(0, 0, -1).to(at::kLong);
  features.index_copy_(0, first, sums / (counts - 1).to(at::kFloat).unsqueeze(1));
}

/// The rows of each pair as [B, width, …], `filling` where it has fewer.
at::Tensor spread(const at::Tensor& rows, const at::Tensor& starts, int64_t width, const at::Tensor& mask,
                  double filling) {
  const at::Tensor first = starts.slice(0, 0, -1).to(at::kLong).unsqueeze(1);
  const at::Tensor from = (first + at::arange(width, first.options())).clamp_max(rows.size(0) - 1);
  at::Tensor out = rows.index_select(0, from.flatten()).unflatten(0, {starts.size(0) - 1, width});
  at::Tensor outside = mask.logical_not();
  while (outside.dim() < out.dim()) outside = outside.unsqueeze(-1);
  return out.masked_fill_(outside, filling);
}

at::Tensor mask_of(const at::Tensor& starts, int64_t width) {
  const at::Tensor lengths = starts.diff().to(at::kLong).unsqueeze(1);
  return at::arange(width, lengths.options()).unsqueeze(0) < lengths;
}

at::Tensor spread_rows(const at::Tensor& rows, const at::Tensor& starts, int64_t width) {
  const at::Tensor ends = starts.slice(0, 1).to(at::kLong).contiguous();
  const at::Tensor pair = at::searchsorted(ends, rows, /*out_int32=*/false, /*right=*/true);
  return pair * width + rows - starts.to(at::kLong).index_select(0, pair);
}

/// Rows of [B, width, …] where the mask is true, one after the other.
at::Tensor gathered(const at::Tensor& padded, const at::Tensor& mask) {
  return padded.flatten(0, 1).index_select(0, mask.flatten().nonzero().flatten());
}

at::Tensor starts_of(const at::Tensor& mask) {
  const at::Tensor starts = at::zeros({mask.size(0) + 1}, at::kInt);
  starts.slice(0, 1).copy_(mask.sum(1).cumsum(0));
  return starts;
}

/// Rows of the flattened mask → rows among those where it is true.
at::Tensor gathered_rows(const at::Tensor& rows, const at::Tensor& mask) {
  return (mask.flatten().cumsum(0) - 1).index_select(0, rows);
}

}  // namespace

PairBatch to(const PairBatch& batch, at::Device device) {
  PairBatch out = batch;
  out.token_ids = moved(batch.token_ids, device);
  out.text_mask = moved(batch.text_mask, device);
  out.region_locations = moved(batch.region_locations, device);
  out.region_mask = moved(batch.region_mask, device);
  out.region_features = widened(batch.region_features, device);
  if (is_half(batch.region_features)) fill_global_region(out.region_features, out.region_mask);
  return out;
}

PackedBatch to(const PackedBatch& batch, at::Device device) {
  PackedBatch out = batch;
  out.token_ids = moved(batch.token_ids, device);
  out.text_starts = moved(batch.text_starts, device);
  out.region_locations = moved(batch.region_locations, device);
  out.region_starts = moved(batch.region_starts, device);
  out.region_features = widened(batch.region_features, device);
  if (is_half(batch.region_features)) fill_global_regions(out.region_features, out.region_starts);
  return out;
}

MaskedTargets to(const MaskedTargets& targets, at::Device device) {
  MaskedTargets out = targets;
  for (at::Tensor* tensor :
       {&out.token_rows, &out.token_ids, &out.region_rows, &out.region_classes, &out.token_count, &out.region_count}) {
    *tensor = moved(*tensor, device);
  }
  out.region_features = widened(targets.region_features, device);
  return out;
}

PairBatch padded(const PackedBatch& batch, int64_t pad_token) {
  PairBatch out;
  out.text_mask = mask_of(batch.text_starts, batch.max_tokens);
  out.token_ids =
      spread(batch.token_ids, batch.text_starts, batch.max_tokens, out.text_mask, static_cast<double>(pad_token));
  out.region_mask = mask_of(batch.region_starts, batch.max_regions);
  const auto spread_regions = [&](const at::Tensor& rows) {
    return spread(rows, batch.region_starts, batch.max_regions, out.region_mask, 0.0);
  };
  out.region_features = spread_regions(batch.region_features);
  out.region_locations = spread_regions(batch.region_locations);
  out.text_padded = batch.token_ids.size(0) < out.token_ids.numel();
  out.regions_padded = batch.region_locations.size(0) < out.region_mask.numel();
  return out;
}

MaskedTargets padded(const MaskedTargets& targets, const PackedBatch& batch) {
  MaskedTargets out = targets;
  out.token_rows = spread_rows(targets.token_rows, batch.text_starts, batch.max_tokens);
  out.region_rows = spread_rows(targets.region_rows, batch.region_starts, batch.max_regions);
  return out;
}

PackedBatch packed(const PairBatch& batch) {
  return {.token_ids = gathered(batch.token_ids, batch.text_mask),
          .text_starts = starts_of(batch.text_mask),
          .region_features = gathered(batch.region_features, batch.region_mask),
          .region_locations = gathered(batch.region_locations, batch.region_mask),
          .region_starts = starts_of(batch.region_mask),
          .max_tokens = batch.text_mask.sum(1).max().item<int64_t>(),
          .max_regions = batch.region_mask.sum(1).max().item<int64_t>()};
}

MaskedTargets packed(const MaskedTargets& targets, const PairBatch& batch) {
  MaskedTargets out = targets;
  out.token_rows = gathered_rows(targets.token_rows, batch.text_mask);
  out.region_rows = gathered_rows(targets.region_rows, batch.region_mask);
  return out;
}

}  // namespace capture
