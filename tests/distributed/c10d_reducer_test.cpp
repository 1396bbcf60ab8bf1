// GradientReducer against the engine of LibTorch's DistributedDataParallel, where both can do a step.
#define USE_C10D
#define USE_C10D_GLOO
#define USE_DISTRIBUTED
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <barrier>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include "capture/distributed/gradient_reducer.h"
#include "distributed/on_ranks.h"

namespace capture {
namespace {

constexpr int64_t kSteps = 3;
constexpr size_t kBucketBytes = size_t{1} << 20;

/// Layers whose gradients take several buckets; the last is `used` in a step or not.
std::vector<at::Tensor> parameters() {
  std::vector<at::Tensor> all;
  for (const int64_t width : {700, 300, 5}) all.push_back(at::full({width, 700}, 0.01).requires_grad_());
  return all;
}

/// Numbers of this rank and step alone. Rank 1 leaves the last parameter out in step 1, and all do in step 2.
at::Tensor loss(const std::vector<at::Tensor>& parameters, int64_t rank, int64_t step) {
  const at::Tensor x = at::sin(at::arange(700, at::kFloat) * 0.37 + static_cast<double>(7 * rank + step));
  at::Tensor hidden = at::mv(parameters[0], x).tanh();
  at::Tensor total = at::mv(parameters[1], hidden).square().sum();
  const bool used = step == 0 || (step == 1 && rank == 0);
  return used ? total + at::mv(parameters[2], hidden).sum() : total;
}

using Gradients = std::vector<std::vector<at::Tensor>>;  // of each step

/// Copies of the gradients, which are then taken away.
std::vector<at::Tensor> taken_from(const std::vector<at::Tensor>& parameters) {
  std::vector<at::Tensor> gradients;
  for (const auto& each : parameters) {
    gradients.push_back(each.grad().defined() ? each.grad().clone() : at::zeros_like(each));
    each.mutable_grad().reset();
  }
  return gradients;
}

Gradients of_ours(int64_t rank_count, int64_t of_rank) {
  Gradients gradients;
  on_ranks(rank_count, [&](const ProcessGroup& group) {
    const auto all = parameters();
    GradientReducer reducer(group, all, {.bucket_megabytes = kBucketBytes >> 20});
    for (int64_t step = 0; step < kSteps; ++step) {
      reducer.begin();
      loss(all, group.rank(), step).backward();
      reducer.finish();
      auto step_gradients = taken_from(all);
      if (group.rank() == of_rank) gradients.push_back(std::move(step_gradients));
    }
  });
  return gradients;
}

Gradients of_c10d(int64_t rank_count, int64_t of_rank) {
  Gradients gradients;
  const auto store = c10::make_intrusive<c10d::HashStore>();
  const auto on_rank = [&](int rank) {
    auto options = c10d::ProcessGroupGloo::Options::create(std::chrono::seconds(30));
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1"));
    const auto size = static_cast<int>(rank_count);
    const auto gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, options);
    const auto group = c10::make_intrusive<c10d::ProcessGroup>(store, rank, size);
    group->setBackend(c10::DeviceType::CPU, c10d::ProcessGroup::BackendType::GLOO, gloo);
    const auto all = parameters();
    const auto [buckets, limits] = c10d::compute_bucket_assignment_by_size(all, {kBucketBytes});
    c10d::Reducer reducer(all, {buckets.rbegin(), buckets.rend()}, group, std::vector<bool>(all.size()), kBucketBytes,
                          /*find_unused_parameters=*/true, /*gradient_as_bucket_view=*/true, {}, kBucketBytes,
                          /*skip_all_reduce_unused_params=*/false, /*use_python_reducer=*/false, {});
    for (int64_t step = 0; step < kSteps; ++step) {
      reducer.rebuild_buckets();
      const at::Tensor total = loss(all, rank, step);
      reducer.prepare_for_backward({total});
      total.backward();
      auto step_gradients = taken_from(all);
      if (rank == of_rank) gradients.push_back(std::move(step_gradients));
    }
  };
  std::vector<std::jthread> ranks;
  for (int rank = 0; rank < rank_count; ++rank) ranks.emplace_back(on_rank, rank);
  ranks.clear();
  return gradients;
}

/// A mean over two is exact in either order, so not a bit may differ.
TEST(GradientReducer, GivesWhatDistributedDataParallelGives) {
  for (const int64_t rank : {0, 1}) {
    const Gradients ours = of_ours(2, rank);
    const Gradients theirs = of_c10d(2, rank);
    ASSERT_EQ(ours.size(), kSteps);
    ASSERT_EQ(theirs.size(), kSteps);
    for (size_t step = 0; step < ours.size(); ++step) {
      for (size_t i = 0; i < ours[step].size(); ++i) {
        EXPECT_TRUE(ours[step][i].equal(theirs[step][i])) << "rank " << rank << ", step " << step << ", gradient " << i;
      }
    }
    EXPECT_GT(ours[1][2].abs().max().item<double>(), 0);  // one rank's half
    EXPECT_EQ(ours[2][2].abs().max().item<double>(), 0);
  }
}

}  // namespace
}  // namespace capture
