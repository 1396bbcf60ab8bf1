#include "capture/train/batch_copier.h"

#include <ATen/ATen.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace capture {

BatchCopier::BatchCopier(at::Device device) : device_(device) {
  if (!device.is_cpu()) stream_ = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
}

void BatchCopier::move(Batch& batch) const {
  if (!stream_ || batch.packed) return;
  c10::Event copied(device_.type());
  {
    const c10::StreamGuard on_own_stream(*stream_);
    batch.inputs = to(batch.inputs, device_);
    batch.targets = to(batch.targets, device_);
    copied.record(*stream_);
  }
  const c10::Stream computing = c10::impl::VirtualGuardImpl(device_.type()).getStream(device_);
  copied.block(computing);
  // The memory belongs to the copies' stream, which may reuse it only when the computation is through with it.
  const auto& inputs = batch.inputs;
  const auto& targets = batch.targets;
  for (const auto& tensor :
       {inputs.token_ids, inputs.text_mask, inputs.region_features, inputs.region_locations, inputs.region_mask,
        targets.token_rows, targets.token_ids, targets.region_rows, targets.region_features, targets.region_classes}) {
    if (tensor.defined()) tensor.record_stream(computing);
  }
}

}  // namespace capture
