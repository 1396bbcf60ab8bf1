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

/// A number whose backward pass gives `parameters` these gradients.
at::Tensor loss_of(const std::vector<at::Tensor>& parameters, const std::vector<at::Tensor>& gradients) {
  at::Tensor loss = at::zeros({});
  for (size_t i = 0; i < parameters.size(); ++i) loss = loss + (parameters[i] * gradients[i]).sum();
  return loss;
}

void expect_mean(const at::Tensor& gradient, const std::vector<at::Tensor>& parts) {
  at::Tensor mean = at::zeros_like(parts.front());
  for (const auto& part : parts) mean += part / static_cast<double>(parts.size());
  EXPECT_TRUE(at::allclose(gradient, mean, 1e-6, 1e-6));
}

/// What both engines do.
class GradientReducers : public ::testing::TestWithParam<ReductionEngine> {
 protected:
  DistributedOptions options_ = {.reducer = GetParam(), .bucket_megabytes = 1};
};

INSTANTIATE_TEST_SUITE_P(GradientReducer, GradientReducers,
                         ::testing::Values(ReductionEngine::capture, ReductionEngine::c10d), [](const auto& engine) {
                           return engine.param == ReductionEngine::capture ? "capture" : "c10d";
                         });

TEST_P(GradientReducers, AverageStepAfterStep) {
  for (const bool overlap : {true, false}) {
    if (!overlap && GetParam() == ReductionEngine::c10d) continue;
    DistributedOptions options = options_;
    options.overlap = overlap;
    on_ranks(3, [&](const ProcessGroup& group) {
      const std::vector<at::Tensor> parameters = {parameter(), parameter(7), parameter(), parameter()};
      const auto reducer = make_gradient_reducer(group, parameters, options);
      for (double step = 0; step < 3; ++step) {
        std::vector<at::Tensor> gradients;
        for (const auto& each : parameters) gradients.push_back(wanted(group.rank(), step, each.numel()));
        reducer->backward(loss_of(parameters, gradients));
        reducer->finish();
        for (const auto& each : parameters) {
          expect_mean(each.grad(),
                      {wanted(0, step, each.numel()), wanted(1, step, each.numel()), wanted(2, step, each.numel())});
          each.mutable_grad().reset();
        }
      }
    });
  }
}

TEST_P(GradientReducers, LetTheLastPassOfAStepAloneTravel) {
  on_ranks(2, [&](const ProcessGroup& group) {
    const at::Tensor both = parameter(), early = parameter();
    const auto reducer = make_gradient_reducer(group, {both, early}, options_);
    for (double step = 0; step < 2; ++step) {
      loss_of({both, early}, {wanted(group.rank(), step), wanted(group.rank(), step + 5)}).backward();
      EXPECT_TRUE(both.grad().equal(wanted(group.rank(), step)));
      loss_of({both}, {wanted(group.rank(), step + 1)}).backward();
      reducer->backward(loss_of({both}, {wanted(group.rank(), step + 2)}));
      reducer->finish();
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

TEST_P(GradientReducers, CountAGradientThatOneRankLacksAsZero) {
  on_ranks(2, [&](const ProcessGroup& group) {
    const at::Tensor here = parameter(), nowhere = parameter(), frozen = at::zeros({3});
    const auto reducer = make_gradient_reducer(group, {nowhere, here, frozen}, options_);
    for (double step = 0; step < 2; ++step) {
      // The other rank has no backward pass at all.
      reducer->backward(group.rank() == 1 ? loss_of({here}, {wanted(1, step)}) : at::zeros({}));
      reducer->finish();
      expect_mean(here.grad(), {at::zeros({kMany}), wanted(1, step)});
      EXPECT_FALSE(nowhere.grad().defined());
      EXPECT_FALSE(frozen.grad().defined());
      here.mutable_grad().reset();
    }
  });
}

TEST_P(GradientReducers, GiveEveryRankTheSameCompressedGradients) {
  DistributedOptions options = options_;
  options.compression = Compression::bfloat16;
  on_ranks(
      3,
      [&](const ProcessGroup& group) {
        const at::Tensor one = parameter();
        const auto reducer = make_gradient_reducer(group, {one}, options);
        reducer->backward(loss_of({one}, {wanted(group.rank(), 0)}));
        reducer->finish();
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
TEST_P(GradientReducers, SendGradientsWhileTheBackwardPassComputesOthers) {
  on_ranks(2, [&](const ProcessGroup& group) {
    at::Tensor first = parameter(), last = parameter();
    const auto reducer = make_gradient_reducer(group, {first, last}, options_);
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
    reducer->backward(gated.sum() + (last * wanted(group.rank(), 1)).sum());
    EXPECT_TRUE(opened);
    reducer->finish();
    expect_mean(first.grad(), {wanted(0, 0), wanted(1, 0)});
  });
}

/// No step allocates a gradient anew.
TEST(BucketReducer, KeepsGradientsInTheirBucketsStepAfterStep) {
  on_ranks(2, [](const ProcessGroup& group) {
    // In buckets of 1 MB the two small ones are side by side, the last first.
    const at::Tensor large = parameter(), small = parameter(7), smaller = parameter(5);
    const std::vector<at::Tensor> parameters = {large, small, smaller};
    const auto reducer = make_gradient_reducer(group, parameters, kSmallBuckets);
    std::vector<const void*> places;
    for (double step = 0; step < 4; ++step) {
      std::vector<at::Tensor> gradients;
      for (const auto& each : parameters) gradients.push_back(wanted(group.rank(), step, each.numel()));
      reducer->backward(loss_of(parameters, gradients));
      for (const bool averaged : {false, true}) {
        if (averaged) reducer->finish();
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

/// The identity, whose backward pass fails.
struct Breaking final : torch::autograd::Node {
  torch::autograd::variable_list apply(torch::autograd::variable_list&& /*gradients*/) override {
    throw std::runtime_error("broken");
  }
};

// What breaks in the computation is no other rank's fault.
TEST_P(GradientReducers, LetErrorsOfTheBackwardPassThrough) {
  on_ranks(2, [&](const ProcessGroup& group) {
    const at::Tensor one = parameter(4);
    const auto reducer = make_gradient_reducer(group, {one}, options_);
    const at::Tensor sum = one.sum();
    auto node = std::make_shared<Breaking>();
    node->set_next_edges(torch::autograd::collect_next_edges(sum));
    at::Tensor broken = sum.detach();
    torch::autograd::set_history(broken, node);
    try {
      reducer->backward(broken);
      ADD_FAILURE() << "the backward pass did not fail";
    } catch (const UserError& error) {
      ADD_FAILURE() << error.what();
    } catch (const std::exception& error) {
      EXPECT_STREQ(error.what(), "broken");
    }
  });
}

TEST_P(GradientReducers, LeaveTheParametersAsTheyWere) {
  on_ranks(2, [&](const ProcessGroup& group) {
    const at::Tensor one = parameter(4);
    make_gradient_reducer(group, {one}, options_);
    loss_of({one}, {wanted(group.rank(), 0, 4)}).backward();
    EXPECT_TRUE(one.grad().equal(wanted(group.rank(), 0, 4)));
  });
}

/// Layers whose gradients take several buckets; the last is used in a step or not.
std::vector<at::Tensor> layers() {
  std::vector<at::Tensor> all;
  for (const int64_t width : {700, 300, 5}) all.push_back(at::full({width, 700}, 0.01).requires_grad_());
  return all;
}

/// Numbers of this rank and step alone. Rank 1 leaves the last layer out in step 1, and all do in step 2.
at::Tensor loss_of_layers(const std::vector<at::Tensor>& layers, int64_t rank, int64_t step) {
  const at::Tensor x = at::sin(at::arange(700, at::kFloat) * 0.37 + static_cast<double>(7 * rank + step));
  const at::Tensor hidden = at::mv(layers[0], x).tanh();
  const at::Tensor total = at::mv(layers[1], hidden).square().sum();
  const bool used = step == 0 || (step == 1 && rank == 0);
  return used ? total + at::mv(layers[2], hidden).sum() : total;
}

constexpr int64_t kSteps = 3;

/// The gradients of each layer in each step, zeros where there are none.
std::vector<at::Tensor> gradients_by(const DistributedOptions& options, int64_t of_rank) {
  std::vector<at::Tensor> gradients;
  on_ranks(2, [&](const ProcessGroup& group) {
    const auto all = layers();
    const auto reducer = make_gradient_reducer(group, all, options);
    for (int64_t step = 0; step < kSteps; ++step) {
      reducer->backward(loss_of_layers(all, group.rank(), step));
      reducer->finish();
      for (const auto& each : all) {
        if (group.rank() == of_rank) {
          gradients.push_back(each.grad().defined() ? each.grad().clone() : at::zeros_like(each));
        }
        each.mutable_grad().reset();
      }
    }
  });
  return gradients;
}

/// A mean over two is exact in either order, so not a bit may differ.
TEST(GradientReducer, OursGivesTheBitsOfC10dsOnTwoRanks) {
  for (const Compression compression : {Compression::none, Compression::bfloat16}) {
    for (const int64_t rank : {0, 1}) {
      DistributedOptions options = {.bucket_megabytes = 1, .compression = compression};
      const auto ours = gradients_by(options, rank);
      options.reducer = ReductionEngine::c10d;
      const auto theirs = gradients_by(options, rank);
      ASSERT_EQ(ours.size(), 3 * kSteps);
      ASSERT_EQ(theirs.size(), ours.size());
      for (size_t i = 0; i < ours.size(); ++i) EXPECT_TRUE(ours[i].equal(theirs[i])) << "rank " << rank << ", " << i;
      EXPECT_GT(ours[5].abs().max().item<double>(), 0);  // one rank's half
      EXPECT_EQ(ours[8].abs().max().item<double>(), 0);
    }
  }
}

}  // namespace
}  // namespace capture
