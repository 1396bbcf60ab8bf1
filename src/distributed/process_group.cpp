#include "capture/distributed/process_group.h"

#include <ATen/ATen.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <csignal>
#include <map>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "connection.h"

namespace capture {

namespace {

/// Messages of about this many bytes: large enough to be worth sending, small enough to bound the copy.
constexpr int64_t kMessageBytes = int64_t{64} << 20;

/// Calls `exchange` on flat copies of the tensors, one type at a time and about kMessageBytes each, then copies the
/// result back.
template <class Exchange>
void in_messages(ProcessGroup::Connection& connection, const std::vector<at::Tensor>& tensors,
                 const Exchange& exchange) {
  const auto flush = [&](std::vector<at::Tensor>& part) {
    std::vector<at::Tensor> flat;
    for (const auto& tensor : part) flat.push_back(tensor.reshape(-1));
    at::Tensor message = at::cat(flat).to(connection.carrier(part.front().device()));
    exchange(message);
    int64_t start = 0;
    for (const auto& tensor : part) {
      tensor.copy_(message.narrow(0, start, tensor.numel()).view(tensor.sizes()));
      start += tensor.numel();
    }
    part.clear();
  };
  std::map<at::ScalarType, std::vector<at::Tensor>> parts;
  std::map<at::ScalarType, int64_t> bytes;
  for (const auto& tensor : tensors) {
    const auto type = tensor.scalar_type();
    parts[type].push_back(tensor);
    bytes[type] += static_cast<int64_t>(tensor.nbytes());
    if (bytes[type] < kMessageBytes) continue;
    flush(parts[type]);
    bytes[type] = 0;
  }
  for (auto& [type, part] : parts) {
    if (!part.empty()) flush(part);
  }
}

struct GatherBackward final : torch::autograd::Node {
  explicit GatherBackward(ProcessGroup of) : group(std::move(of)) {}

  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
    auto& connection = *group.connection();
    const at::Tensor& gradient = gradients[0];
    at::Tensor all = gradient.to(connection.carrier(gradient.device())).contiguous();
    if (all.is_same(gradient)) all = all.clone();  // the incoming one may be shared
    auto shape = all.sizes().vec();
    shape[0] /= group.world_size();
    at::Tensor own = at::empty(shape, all.options());
    connection.scatter_sum(own, all);
    return {own.to(gradient.device())};
  }

  ProcessGroup group;
};

}  // namespace

void ProcessGroup::use(at::Device device) const {
  if (device.is_cuda()) c10::impl::getDeviceGuardImpl(device.type())->setDevice(device);
  if (!alone()) connection_->use(device);
}

void ProcessGroup::broadcast(const std::vector<at::Tensor>& tensors) const {
  if (alone()) return;
  const at::NoGradGuard no_gradient;
  in_messages(*connection_, tensors, [&](at::Tensor& message) { connection_->broadcast(message); });
}

void ProcessGroup::average(const std::vector<at::Tensor>& tensors) const {
  if (alone()) return;
  const at::NoGradGuard no_gradient;
  in_messages(*connection_, tensors, [&](at::Tensor& message) {
    connection_->sum(message);
    message.div_(static_cast<double>(world_size_));
  });
}

void ProcessGroup::sum(at::Tensor& tensor) const {
  if (alone()) return;
  const at::NoGradGuard no_gradient;
  in_messages(*connection_, {tensor}, [&](at::Tensor& message) { connection_->sum(message); });
}

at::Tensor ProcessGroup::gather(const at::Tensor& rows) const {
  if (alone()) return rows;
  const at::NoGradGuard no_gradient;
  at::Tensor own = rows.detach().to(connection_->carrier(rows.device())).contiguous();
  auto shape = own.sizes().vec();
  shape[0] *= world_size_;
  at::Tensor all = at::empty(shape, own.options());
  connection_->gather(all, own);
  return all.to(rows.device());
}

void ProcessGroup::barrier() const {
  if (!alone()) connection_->barrier();
}

void ProcessGroup::require_same(const std::string& what, const std::string& text) const {
  if (alone()) return;
  const at::Tensor sums = gather(at::full({1}, static_cast<int64_t>(checksum(text)), at::kLong));
  const int64_t* all = sums.const_data_ptr<int64_t>();
  std::string others;
  for (int64_t i = 1; i < world_size_; ++i) {
    if (all[i] != all[0]) others += (others.empty() ? "" : ", ") + std::to_string(i);
  }
  if (others.empty()) return;
  throw UserError({.what = fmt::format("{} of rank {} is not that of rank 0", what, others),
                   .where = fmt::format("the {} ranks", world_size_),
                   .hint = "start all ranks with the same command, on the same files"});
}

void ProcessGroup::leave(const std::string& reason) const {
  if (!alone()) connection_->leave(reason);
}

ProcessGroup start_process_group(const ProcessContext& context, const DistributedOptions& options) {
  ProcessGroup group;
  // Whoever writes to a process that is gone, be it one that reads the log, is not to be killed for it.
  std::signal(SIGPIPE, SIG_IGN);
  if (context.world_size == 1) return group;
  group.rank_ = context.rank;
  group.world_size_ = context.world_size;
  group.local_rank_ = context.local_rank;
  group.connection_ = std::make_shared<ProcessGroup::Connection>(context, options);
  return group;
}

at::Tensor gather_with_gradient(const ProcessGroup& group, const at::Tensor& rows) {
  if (group.alone()) return rows;
  at::Tensor all = group.gather(rows);
  if (torch::autograd::compute_requires_grad(rows)) {
    auto node = std::make_shared<GatherBackward>(group);
    node->set_next_edges(torch::autograd::collect_next_edges(rows));
    torch::autograd::set_history(all, node);
  }
  return all;
}

}  // namespace capture
