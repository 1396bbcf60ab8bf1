#include "capture/tensor/pair_batch.h"

#include <ATen/ATen.h>

namespace capture {

namespace {

at::Tensor moved(const at::Tensor& tensor, at::Device device) {
  return tensor.defined() ? tensor.to(device, /*non_blocking=*/true) : tensor;
}

}  // namespace

PairBatch to(const PairBatch& batch, at::Device device) {
  PairBatch out = batch;
  out.token_ids = moved(batch.token_ids, device);
  out.text_mask = moved(batch.text_mask, device);
  out.region_features = moved(batch.region_features, device);
  out.region_locations = moved(batch.region_locations, device);
  out.region_mask = moved(batch.region_mask, device);
  return out;
}

MaskedTargets to(const MaskedTargets& targets, at::Device device) {
  return {moved(targets.token_rows, device), moved(targets.token_ids, device), moved(targets.region_rows, device),
          moved(targets.region_features, device), moved(targets.region_classes, device)};
}

}  // namespace capture
