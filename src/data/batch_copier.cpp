#include "capture/data/batch_copier.h"

#include <ATen/ATen.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <initializer_list>

namespace capture {

BatchCopier::BatchCopier(at::Device device) : device_(device) {
  if (!device.is_cpu()) stream_ = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
}

void BatchCopier::move(Batch& batch) const {
  if (!stream_) return;
  c10::Event copied(device_.type());
  {
    const c10::StreamGuard on_own_stream(*stream_);
    if (batch.packed) {
      batch.packed = to(*batch.packed, device_);
    } else {
      batch.inputs = to(batch.inputs, device_);
    }
    batch.targets = to(batch.targets, device_);
    copied.record(*stream_);
  }
  const c10::Stream computing = c10::impl::VirtualGuardImpl(device_.type()).getStream(device_);
  copied.block(computing);
  // The memory belongs to the copies' stream, which may reuse it only when the computation is through with it.
  const auto lend = [&](std::initializer_list<at::Tensor> tensors) {
    for (const auto& tensor : tensors) {
      if (tensor.defined()) tensor.record_stream(computing);
    }
  };
  const auto& inputs = batch.inputs;
  const auto& targets = batch.targets;
  lend({inputs.token_ids, inputs.text_mask, inputs.region_features, inputs.region_locations, inputs.region_mask});
  lend({targets.token_rows, targets.token_ids, targets.region_rows, targets.region_features, targets.region_classes});
  if (!batch.packed) return;
  const auto& packed = *batch.packed;
  lend({packed.token_ids, packed.text_starts, packed.region_features, packed.region_locations, packed.region_starts});
}

}  // namespace capture
