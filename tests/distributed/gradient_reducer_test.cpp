#include "capture/distributed/gradient_reducer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "distributed/on_ranks.h"

namespace capture {
namespace {

/// More than one bucket of the smallest size.
constexpr int64_t kMany = 300'000;
constexpr DistributedOptions kSmallBuckets = {.bucket_megabytes = 1};

at::Tensor parameter(int64_t size = kMany) {
  return at::zeros({size}).requires_grad_();
}

/// A number for each place, step and rank, not a multiple of another.
at::Tensor wanted(int64_t rank, double step, int64_t size = kMany) {
  return at::sin(at::arange(size, at::kFloat) * 0.37 + step) + static_cast<double>(rank);
}

/// A backward pass after which `parameter` has `gradient`, or has it added.
void backward(const std::vector<at::Tensor>& parameters, const std::vector<at::Tensor>& gradients) {
  at::Tensor loss = at::zeros({});
  for (size_t i = 0; i < parameters.size(); ++i) loss = loss + (parameters[i] * gradients[i]).sum();
  loss.backward();
}

void expect_mean(const at::Tensor& gradient, const std::vector<at::Tensor>& parts) {
  at::Tensor mean = at::zeros_like(parts.front());
  for (const auto& part : parts) mean += part / static_cast<double>(parts.size());
  EXPECT_TRUE(at::allclose(gradient, mean, 1e-6, 1e-6));
}

TEST(GradientReducer, AveragesStepAfterStep) {
  for (const bool overlap : {true, false}) {
    DistributedOptions options = kSmallBuckets;
    options.overlap = overlap;
    on_ranks(3, [&](const ProcessGroup& group) {
      const std::vector<at::Tensor> parameters = {parameter(), parameter(7), parameter(), parameter()};
      GradientReducer reducer(group, parameters, options);
      for (double step = 0; step < 3; ++step) {
        std::vector<at::Tensor> gradients;
        for (const auto& each : parameters) gradients.push_back(wanted(group.rank(), step, each.numel()));
        reducer.begin();
        backward(parameters, gradients);
        reducer.finish();
        for (const auto& each : parameters) {
          expect_mean(each.grad(),
                      {wanted(0, step, each.numel()), wanted(1, step, each.numel()), wanted(2, step, each.numel())});
          each.mutable_grad().reset();
        }
      }
    });
  }
}

TEST(GradientReducer, OnlyTheLastPassOfAStepTravels) {
  on_ranks(2, [](const ProcessGroup& group) {
    const at::Tensor both = parameter(), early = parameter();
    GradientReducer reducer(group, {both, early}, kSmallBuckets);
    for (double step = 0; step < 2; ++step) {
      backward({both, early}, {wanted(group.rank(), step), wanted(group.rank(), step + 5)});
      EXPECT_TRUE(both.grad().equal(wanted(group.rank(), step)));
      backward({both}, {wanted(group.rank(), step + 1)});
      reducer.begin();
      backward({both}, {wanted(group.rank(), step + 2)});
      reducer.finish();
      std::vector<at::Tensor> sums;
      for (const int64_t rank : {0, 1}) {
        sums.push_back(wanted(rank, step) + wanted(rank, step + 1) + wanted(rank, step + 2));
      }
      expect_mean(both.grad(), sums);
      expect_mean(early.grad(), {wanted(0, step + 5), wanted(1, step + 5)});
      for (const auto& each : {both, early}) each.mutable_grad().reset();
    }
  });
}

TEST(GradientReducer, AGradientThatOneRankLacksCountsAsZero) {
  on_ranks(2, [](const ProcessGroup& group) {
    const at::Tensor here = parameter(), nowhere = parameter(), frozen = at::zeros({3});
    GradientReducer reducer(group, {nowhere, here, frozen}, kSmallBuckets);
    for (double step = 0; step < 2; ++step) {
      reducer.begin();
      // The other rank has no backward pass at all.
      if (group.rank() == 1) backward({here}, {wanted(1, step)});
      reducer.finish();
      expect_mean(here.grad(), {at::zeros({kMany}), wanted(1, step)});
      EXPECT_FALSE(nowhere.grad().defined());
      EXPECT_FALSE(frozen.grad().defined());
      here.mutable_grad().reset();
    }
  });
}

TEST(GradientReducer, CompressedGradientsAreTheSameOnEveryRank) {
  DistributedOptions options = kSmallBuckets;
  options.compression = Compression::bfloat16;
  on_ranks(
      3,
      [&](const ProcessGroup& group) {
        const at::Tensor one = parameter();
        GradientReducer reducer(group, {one}, options);
        reducer.begin();
        backward({one}, {wanted(group.rank(), 0)});
        reducer.finish();
        const at::Tensor exact = (wanted(0, 0) + wanted(1, 0) + wanted(2, 0)) / 3;
        EXPECT_EQ(one.grad().scalar_type(), at::kFloat);
        EXPECT_LT((one.grad() - exact).abs().max().item<double>(), 0.02);
        const at::Tensor all = group.gather(one.grad().unsqueeze(0));
        EXPECT_TRUE(all[0].equal(all[1]) && all[0].equal(all[2]));
      },
      options);
}

TEST(GradientReducer, LeavesTheParametersAsTheyWere) {
  on_ranks(2, [](const ProcessGroup& group) {
    const at::Tensor one = parameter(4);
    { const GradientReducer reducer(group, {one}, {}); }
    backward({one}, {wanted(group.rank(), 0, 4)});
    EXPECT_TRUE(one.grad().equal(wanted(group.rank(), 0, 4)));
  });
}

}  // namespace
}  // namespace capture
