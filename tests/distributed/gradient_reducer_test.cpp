#include "capture/distributed/gradient_reducer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <chrono>
#include <cmath>
#include <functional>
#include <thread>

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

/// The identity. Its backward pass waits until `ready`, and notes whether it became so in time.
struct Gate final : torch::autograd::Node {
  Gate(std::function<bool()> of, bool& to) : ready(std::move(of)), opened(to) {}

  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!(opened = ready()) && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
    return std::move(gradients);
  }

  std::function<bool()> ready;
  bool& opened;
};

/// The first parameter of a model has its gradient last. Its part of the backward pass begins when the sum of the last
/// one's has arrived, which it never does where gradients travel at the end alone.
TEST(GradientReducer, GradientsTravelWhileTheBackwardPassComputesOthers) {
  on_ranks(2, [](const ProcessGroup& group) {
    at::Tensor first = parameter(), last = parameter();
    GradientReducer reducer(group, {first, last}, kSmallBuckets);
    const float wanted_there = (wanted(0, 1) + wanted(1, 1))[0].item<float>() / 2;
    bool opened = false;
    const auto has_arrived = [&] {
      const volatile float* sum = last.grad().defined() ? last.grad().const_data_ptr<float>() : nullptr;
      return sum != nullptr && std::abs(*sum - wanted_there) < 1e-6F;
    };
    const at::Tensor product = first * wanted(group.rank(), 0);
    auto gate = std::make_shared<Gate>(has_arrived, opened);
    gate->set_next_edges(torch::autograd::collect_next_edges(product));
    at::Tensor gated = product.detach();
    torch::autograd::set_history(gated, gate);
    reducer.begin();
    (gated.sum() + (last * wanted(group.rank(), 1)).sum()).backward();
    EXPECT_TRUE(opened);
    reducer.finish();
    expect_mean(first.grad(), {wanted(0, 0), wanted(1, 0)});
  });
}

/// No step allocates a gradient anew.
TEST(GradientReducer, GradientsLieInTheirBucketsStepAfterStep) {
  on_ranks(2, [](const ProcessGroup& group) {
    // In buckets of 1 MB the two small ones are side by side, the last first.
    const at::Tensor large = parameter(), small = parameter(7), smaller = parameter(5);
    const std::vector<at::Tensor> parameters = {large, small, smaller};
    GradientReducer reducer(group, parameters, kSmallBuckets);
    std::vector<const void*> places;
    for (double step = 0; step < 4; ++step) {
      reducer.begin();
      std::vector<at::Tensor> gradients;
      for (const auto& each : parameters) gradients.push_back(wanted(group.rank(), step, each.numel()));
      backward(parameters, gradients);
      for (const bool averaged : {false, true}) {
        if (averaged) reducer.finish();
        std::vector<const void*> here;
        for (const auto& each : parameters) here.push_back(each.grad().const_data_ptr());
        if (places.empty()) places = here;
        EXPECT_EQ(here, places) << "step " << step;
        EXPECT_TRUE(small.grad().is_alias_of(smaller.grad()));
        EXPECT_EQ(small.grad().const_data_ptr<float>(), smaller.grad().const_data_ptr<float>() + 5);
      }
      // Steps clear gradients, or take them away.
      for (const auto& each : parameters) {
        if (step == 1) {
          each.mutable_grad().zero_();
        } else {
          each.mutable_grad().reset();
        }
      }
    }
  });
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
