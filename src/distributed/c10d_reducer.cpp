#define USE_C10D
#define USE_C10D_GLOO
#define USE_DISTRIBUTED
#include "c10d_reducer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/comm.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include "capture/base/error.h"
#include "connection.h"

namespace capture {

namespace {

using Group = c10::intrusive_ptr<c10d::ProcessGroup>;

/// Where buckets are added up, in which number format, and whether that has failed.
struct Channel {
  Group group;
  at::ScalarType type;
  std::shared_ptr<std::atomic<bool>> failed;
};

/// Makes a bucket its mean over the processes.
class MeanHook final : public c10d::CppCommHookInterface<Channel> {
 public:
  using CppCommHookInterface::CppCommHookInterface;

  c10::intrusive_ptr<c10::ivalue::Future> runHook(c10d::GradBucket& bucket) override {
    const at::Tensor gradients = bucket.getBuffer();
    std::vector<at::Tensor> message = {gradients.mul_(1.0 / state_.group->getSize()).to(state_.type)};
    const auto sum = started(message);
    sum->addCallback([failed = state_.failed](c10::ivalue::Future& done) {
      if (done.hasError()) *failed = true;
    });
    return sum->then(
        [gradients](c10::ivalue::Future& done) -> c10::IValue {
          const at::Tensor all = done.value().toTensorVector().front();
          if (!all.is_same(gradients)) gradients.copy_(all);
          return gradients;
        },
        c10::TensorType::get());
  }

 private:
  c10::intrusive_ptr<c10::ivalue::Future> started(std::vector<at::Tensor>& message) {
    try {
      return state_.group->allreduce(message)->getFuture();
    } catch (const std::exception&) {
      *state_.failed = true;
      throw;
    }
  }
};

class C10dReducer final : public GradientReducer {
 public:
  C10dReducer(const ProcessGroup& group, const std::vector<at::Tensor>& parameters, const DistributedOptions& options)
      : group_(group) {
    std::vector<at::Tensor> trained;
    std::ranges::copy_if(parameters, std::back_inserter(trained), &at::Tensor::requires_grad);
    if (trained.empty()) return;
    tie_ = at::zeros({}, trained.front().options()).requires_grad_();
    trained.insert(trained.begin(), tie_);
    const auto channel = sums_between(group, tie_.device());
    const auto bytes = static_cast<size_t>(options.bucket_megabytes) << 20;
    auto [buckets, limits] = c10d::compute_bucket_assignment_by_size(trained, {bytes});
    std::ranges::reverse(buckets);
    reducer_ = std::make_unique<c10d::Reducer>(
        trained, std::move(buckets), channel, std::vector<bool>(trained.size()), static_cast<int64_t>(bytes),
        /*find_unused_parameters=*/true, /*gradient_as_bucket_view=*/true, std::unordered_map<size_t, std::string>(),
        static_cast<int64_t>(bytes),
        /*skip_all_reduce_unused_params=*/false, /*use_python_reducer=*/false, std::vector<int64_t>());
    const auto type = options.compression == Compression::bfloat16 ? at::kBFloat16 : tie_.scalar_type();
    reducer_->register_comm_hook(std::make_unique<MeanHook>(Channel{channel, type, failed_}));
  }

  void backward(const at::Tensor& total) override {
    if (!reducer_) return;
    const at::Tensor from = total + tie_;
    const auto start = std::chrono::steady_clock::now();
    try {
      reducer_->prepare_for_backward({from});
      from.backward();  // and waits for all gradients, at its end
    } catch (const UserError&) {
      throw;
    } catch (const std::exception& error) {
      if (!*failed_) throw;
      group_.connection()->fail_sums(error, std::chrono::steady_clock::now() - start);
    }
    tie_.mutable_grad().reset();
  }

  void finish() override {}

 private:
  /// The connection's channel of sums as what c10d::Reducer asks for.
  static Group sums_between(const ProcessGroup& group, at::Device device) {
    ProcessGroup::Connection& connection = *group.connection();
    if (connection.carrier(device).type() != device.type()) {
      throw UserError({.what = "LibTorch's engine of gradients has no way between these GPUs, for there is no NCCL",
                       .where = "distributed.reducer",
                       .allowed = "capture"});
    }
    const auto found =
        c10::make_intrusive<c10d::ProcessGroup>(static_cast<int>(group.rank()), static_cast<int>(group.world_size()));
    found->setBackend(device.type(),
                      device.is_cuda() ? c10d::ProcessGroup::BackendType::NCCL : c10d::ProcessGroup::BackendType::GLOO,
                      connection.sums(device));
    return found;
  }

  ProcessGroup group_;
  at::Tensor tie_;  ///< one more parameter: Reducer sends nothing before a gradient comes, and this one's always does
  std::shared_ptr<std::atomic<bool>> failed_ = std::make_shared<std::atomic<bool>>(false);
  std::unique_ptr<c10d::Reducer> reducer_;
};

}  // namespace

std::unique_ptr<GradientReducer> make_c10d_reducer(const ProcessGroup& group, const std::vector<at::Tensor>& parameters,
                                                   const DistributedOptions& options) {
  return std::make_unique<C10dReducer>(group, parameters, options);
}

}  // namespace capture
