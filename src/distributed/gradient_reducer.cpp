#include "capture/distributed/gradient_reducer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include "c10d_reducer.h"
#include "connection.h"

namespace capture {

namespace {

/// A full bucket is sent once all before it are: the messages are the same on every process whatever each computes.
class BucketReducer final : public GradientReducer {
 public:
  BucketReducer(ProcessGroup group, const std::vector<at::Tensor>& parameters, const DistributedOptions& options);
  ~BucketReducer() override;

  void backward(const at::Tensor& total) override;
  void finish() override;

  /// The backward pass has left this parameter's gradient.
  void arrive(size_t parameter);

 private:
  struct Bucket {
    std::vector<size_t> members;
    at::Tensor gradients;  // flat
    at::Tensor message;    // what travels: `gradients` itself, or its compressed copy
    size_t missing = 0;
    std::unique_ptr<ProcessGroup::Connection::Pending> sum;
  };
  struct Parameter {
    at::Tensor tensor;
    size_t bucket;
    at::Tensor gradient;  // the view of its bucket
    bool arrived = false;
  };

  void make_bucket(std::vector<size_t> members);
  void take(Parameter& parameter, double factor);
  void send(Bucket& bucket);
  void send_full();
  at::Tensor anywhere(at::Tensor here) const;

  ProcessGroup group_;
  Compression compression_;
  bool overlap_;
  double share_;  // of one process in a mean
  std::vector<Parameter> parameters_;
  std::vector<Bucket> buckets_;
  size_t next_ = 0;    // bucket to send
  bool last_ = false;  // the backward pass under way is the step's last
};

struct ArrivalHook final : torch::autograd::PostAccumulateGradHook {
  ArrivalHook(BucketReducer& to, size_t of) : receiver(to), parameter(of) {}
  void operator()(const at::Tensor& /*tensor*/) override { receiver.arrive(parameter); }

  BucketReducer& receiver;
  size_t parameter;
};

BucketReducer::BucketReducer(ProcessGroup group, const std::vector<at::Tensor>& parameters,
                             const DistributedOptions& options)
    : group_(std::move(group)),
      compression_(options.compression),
      overlap_(options.overlap),
      share_(1.0 / static_cast<double>(group_.world_size())) {
  for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter) {
    if (parameter->requires_grad()) parameters_.push_back({.tensor = *parameter, .bucket = 0, .gradient = {}});
  }
  const int64_t limit = options.bucket_megabytes << 20;
  std::vector<size_t> members;
  int64_t bytes = 0;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    members.push_back(i);
    bytes += static_cast<int64_t>(parameters_[i].tensor.nbytes());
    if (bytes < limit && i + 1 < parameters_.size()) continue;
    make_bucket(std::exchange(members, {}));
    bytes = 0;
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    torch::autograd::impl::set_post_acc_grad_hooks(parameters_[i].tensor, std::make_unique<ArrivalHook>(*this, i));
  }
}

BucketReducer::~BucketReducer() {
  for (auto& parameter : parameters_) torch::autograd::impl::set_post_acc_grad_hooks(parameter.tensor, nullptr);
}

void BucketReducer::make_bucket(std::vector<size_t> members) {
  int64_t numbers = 0;
  for (const size_t i : members) numbers += parameters_[i].tensor.numel();
  Bucket bucket;
  bucket.gradients = at::zeros({numbers}, parameters_[members.front()].tensor.options().requires_grad(false));
  int64_t start = 0;
  for (const size_t i : members) {
    auto& parameter = parameters_[i];
    parameter.bucket = buckets_.size();
    parameter.gradient = bucket.gradients.narrow(0, start, parameter.tensor.numel()).view(parameter.tensor.sizes());
    start += parameter.tensor.numel();
  }
  bucket.members = std::move(members);
  bucket.missing = bucket.members.size();
  buckets_.push_back(std::move(bucket));
}

void BucketReducer::backward(const at::Tensor& total) {
  last_ = true;
  if (total.requires_grad()) total.backward();
}

/// Puts the gradient, times `factor`, into its bucket, where later passes add to it.
void BucketReducer::take(Parameter& parameter, double factor) {
  at::Tensor& gradient = parameter.tensor.mutable_grad();
  if (!gradient.is_alias_of(parameter.gradient)) {
    at::mul_out(parameter.gradient, gradient, at::scalar_tensor(factor, gradient.options().device(at::kCPU)));
    gradient = parameter.gradient;
  } else if (factor != 1) {
    parameter.gradient.mul_(factor);
  }
}

void BucketReducer::arrive(size_t index) {
  const at::NoGradGuard no_gradient;
  auto& parameter = parameters_[index];
  take(parameter, last_ ? share_ : 1.0);
  if (!last_) return;
  parameter.arrived = true;
  --buckets_[parameter.bucket].missing;
  if (overlap_) send_full();
}

void BucketReducer::send_full() {
  while (next_ < buckets_.size() && buckets_[next_].missing == 0) send(buckets_[next_++]);
}

void BucketReducer::send(Bucket& bucket) {
  bucket.message =
      bucket.gradients.to(group_.connection()->carrier(bucket.gradients.device()),
                          compression_ == Compression::bfloat16 ? at::kBFloat16 : bucket.gradients.scalar_type());
  bucket.sum = group_.connection()->begin_sum(bucket.message);
}

/// Which parameters have a gradient on any process; [parameters] of 0 or 1.
at::Tensor BucketReducer::anywhere(at::Tensor here) const {
  group_.connection()->maximum(here);
  return here;
}

void BucketReducer::finish() {
  const at::NoGradGuard no_gradient;
  at::Tensor present = at::zeros({static_cast<int64_t>(parameters_.size())}, at::kInt);
  int* here = present.mutable_data_ptr<int>();
  for (size_t i = 0; i < parameters_.size(); ++i) {
    auto& parameter = parameters_[i];
    const bool has = parameter.tensor.grad().defined();
    here[i] = has ? 1 : 0;
    if (!parameter.arrived && has) take(parameter, share_);
    if (!has) parameter.gradient.zero_();
    parameter.arrived = false;
  }
  for (auto& bucket : buckets_) bucket.missing = 0;
  send_full();
  present = anywhere(present);
  group_.connection()->finish_sums([&] {
    for (auto& bucket : buckets_) bucket.sum->wait();
  });
  for (auto& bucket : buckets_) {
    bucket.sum.reset();
    if (!bucket.message.is_same(bucket.gradients)) bucket.gradients.copy_(bucket.message);
    bucket.message.reset();
    bucket.missing = bucket.members.size();
  }
  const int* there = present.const_data_ptr<int>();
  for (size_t i = 0; i < parameters_.size(); ++i) {
    parameters_[i].tensor.mutable_grad() = there[i] != 0 ? parameters_[i].gradient : at::Tensor();
  }
  next_ = 0;
  last_ = false;
}

}  // namespace

std::unique_ptr<GradientReducer> make_gradient_reducer(const ProcessGroup& group,
                                                       const std::vector<at::Tensor>& parameters,
                                                       const DistributedOptions& options) {
  if (options.reducer == ReductionEngine::c10d) return make_c10d_reducer(group, parameters, options);
  return std::make_unique<BucketReducer>(group, parameters, options);
}

}  // namespace capture
