// The one file that knows c10d: Gloo behind ProcessGroup's calls.
#include "capture/distributed/process_group.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <map>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "capture/base/error.h"

namespace capture {

namespace {

constexpr auto kTimeLimit = std::chrono::minutes(5);

/// Messages of about this many bytes: large enough to be worth sending, small enough to bound the copy.
constexpr int64_t kBucketBytes = int64_t{64} << 20;

}  // namespace

/// The Gloo group. Its calls take CPU tensors, wait, and turn c10d's exceptions into a UserError.
class ProcessGroup::Connection {
 public:
  explicit Connection(const ProcessContext& context) {
    run("connect to", [&] {
      c10d::TCPStoreOptions options;
      options.port = static_cast<uint16_t>(context.port);
      options.isServer = context.rank == 0 && !context.store_is_served;
      options.waitWorkers = false;
      options.timeout = kTimeLimit;
      auto store = c10::make_intrusive<c10d::TCPStore>(context.address, options);
      auto gloo = c10d::ProcessGroupGloo::Options::create(kTimeLimit);
      gloo->devices.push_back(context.address == "127.0.0.1" || context.address == "localhost"
                                  ? c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1")
                                  : c10d::ProcessGroupGloo::createDefaultDevice());
      group_ = c10::make_intrusive<c10d::ProcessGroupGloo>(
          c10::make_intrusive<c10d::PrefixStore>(context.key_prefix, std::move(store)), static_cast<int>(context.rank),
          static_cast<int>(context.world_size), std::move(gloo));
    });
  }

  void broadcast(at::Tensor& tensor) {
    std::vector<at::Tensor> tensors = {tensor};
    run("receive from", [&] { group_->broadcast(tensors, {})->wait(); });
  }

  void sum(at::Tensor& tensor) {
    std::vector<at::Tensor> tensors = {tensor};
    run("add up with", [&] { group_->allreduce(tensors, {})->wait(); });
  }

  void gather(at::Tensor& all, at::Tensor& own) {
    run("gather from", [&] { group_->_allgather_base(all, own, {})->wait(); });
  }

  void barrier() {
    run("wait for", [&] { group_->barrier({})->wait(); });
  }

 private:
  template <class Call>
  void run(const char* doing, const Call& call) {
    try {
      call();
    } catch (const std::exception& error) {
      std::string reason = error.what();
      throw UserError(
          {.what = std::string("cannot ") + doing + " the other processes: " + reason.substr(0, reason.find('\n')),
           .hint = "see the logs of the other processes, then start all of them again with --resume auto"});
    }
  }

  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
};

namespace {

/// Calls `exchange` on flat CPU copies of the tensors, one type at a time and about kBucketBytes each, then copies the
/// result back.
template <class Exchange>
void in_buckets(const std::vector<at::Tensor>& tensors, const Exchange& exchange) {
  const auto flush = [&](std::vector<at::Tensor>& bucket) {
    std::vector<at::Tensor> flat;
    for (const auto& tensor : bucket) flat.push_back(tensor.reshape(-1));
    at::Tensor message = at::cat(flat).to(at::kCPU);
    exchange(message);
    int64_t start = 0;
    for (const auto& tensor : bucket) {
      tensor.copy_(message.narrow(0, start, tensor.numel()).view(tensor.sizes()));
      start += tensor.numel();
    }
    bucket.clear();
  };
  std::map<at::ScalarType, std::vector<at::Tensor>> buckets;
  std::map<at::ScalarType, int64_t> bytes;
  for (const auto& tensor : tensors) {
    const auto type = tensor.scalar_type();
    buckets[type].push_back(tensor);
    bytes[type] += static_cast<int64_t>(tensor.nbytes());
    if (bytes[type] < kBucketBytes) continue;
    flush(buckets[type]);
    bytes[type] = 0;
  }
  for (auto& [type, bucket] : buckets) {
    if (!bucket.empty()) flush(bucket);
  }
}

struct GatherBackward final : torch::autograd::Node {
  explicit GatherBackward(ProcessGroup of) : group(std::move(of)) {}

  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
    at::Tensor gradient = gradients[0].clone(at::MemoryFormat::Contiguous);  // the incoming one may be shared
    group.sum(gradient);
    const int64_t rows = gradient.size(0) / group.world_size();
    return {gradient.narrow(0, group.rank() * rows, rows)};
  }

  ProcessGroup group;
};

}  // namespace

void ProcessGroup::broadcast(const std::vector<at::Tensor>& tensors) const {
  if (alone()) return;
  const at::NoGradGuard no_gradient;
  in_buckets(tensors, [&](at::Tensor& message) { connection_->broadcast(message); });
}

void ProcessGroup::average(const std::vector<at::Tensor>& tensors) const {
  if (alone()) return;
  const at::NoGradGuard no_gradient;
  in_buckets(tensors, [&](at::Tensor& message) {
    connection_->sum(message);
    message.div_(static_cast<double>(world_size_));
  });
}

void ProcessGroup::sum(at::Tensor& tensor) const {
  if (alone()) return;
  const at::NoGradGuard no_gradient;
  in_buckets({tensor}, [&](at::Tensor& message) { connection_->sum(message); });
}

at::Tensor ProcessGroup::gather(const at::Tensor& rows) const {
  if (alone()) return rows;
  const at::NoGradGuard no_gradient;
  at::Tensor own = rows.detach().to(at::kCPU).contiguous();
  auto shape = own.sizes().vec();
  shape[0] *= world_size_;
  at::Tensor all = at::empty(shape, own.options());
  connection_->gather(all, own);
  return all.to(rows.device());
}

void ProcessGroup::barrier() const {
  if (!alone()) connection_->barrier();
}

ProcessGroup start_process_group(const ProcessContext& context) {
  ProcessGroup group;
  if (context.world_size == 1) return group;
  group.rank_ = context.rank;
  group.world_size_ = context.world_size;
  group.connection_ = std::make_shared<ProcessGroup::Connection>(context);
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

void average_gradients(const ProcessGroup& group, const std::vector<at::Tensor>& parameters) {
  if (group.alone()) return;
  std::vector<float> present(parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i) present[i] = parameters[i].grad().defined() ? 1.0F : 0.0F;
  at::Tensor anywhere = at::tensor(present);
  group.sum(anywhere);
  const float* counts = anywhere.const_data_ptr<float>();
  std::vector<at::Tensor> gradients;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (counts[i] == 0) continue;
    if (present[i] == 0) parameters[i].mutable_grad() = at::zeros_like(parameters[i]);
    gradients.push_back(parameters[i].grad());
  }
  group.average(gradients);
}

}  // namespace capture
