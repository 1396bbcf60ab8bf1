// Layers computed again in the backward pass: the same numbers, in less memory.
#include <ATen/ATen.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "capture/tensor/device.h"
#include "small_model.h"

namespace capture {
namespace {

HybridStreamModel model_with_dropout(int64_t text, int64_t image, int64_t cross, int64_t co) {
  HybridStreamModelOptions options = small_options(text, image, cross, co);
  options.dropout = 0.2;
  options.attention_dropout = 0.1;
  HybridStreamModel model = small_model(options);
  model->train();
  return model;
}

template <class Pairs>
at::Tensor loss_of(const HybridStreamModel& model, const Pairs& batch) {
  const at::Tensor rows = at::tensor({1, 4, 7}, at::kLong);
  const PretrainingOutput output = model->pretrain(batch, rows, rows);
  return output.text_projection.sum() + output.region_projection.square().sum() + output.token_scores.square().mean() +
         output.region_predictions.square().mean();
}

/// A training pass's loss, its gradients, and what dropout would draw next.
template <class Pairs>
std::vector<at::Tensor> results(HybridStreamModel& model, const Pairs& batch, Recompute which, Precision precision,
                                bool backward_in_autocast) {
  model->recompute(which);
  model->zero_grad();
  at::manual_seed(11);
  std::vector<at::Tensor> tensors;
  {
    const AutocastScope autocast(at::kCPU, precision);
    tensors.push_back(loss_of(model, batch));
    if (backward_in_autocast) tensors.front().backward();
  }
  if (!backward_in_autocast) tensors.front().backward();
  tensors.push_back(at::rand({8}));
  for (const auto& item : model->named_parameters()) {
    tensors.push_back(item.value().grad().defined() ? item.value().grad().clone() : at::Tensor());
  }
  return tensors;
}

void expect_same(const std::vector<at::Tensor>& actual, const std::vector<at::Tensor>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(actual[i].defined(), expected[i].defined()) << "tensor " << i;
    EXPECT_TRUE(!expected[i].defined() || at::equal(actual[i], expected[i])) << "tensor " << i;
  }
}

template <class Pairs>
void expect_no_bit_changed(const Pairs& batch) {
  for (const auto& layers : {std::array<int64_t, 4>{2, 1, 2, 3}, {1, 2, 0, 2}, {1, 1, 1, 0}, {0, 0, 0, 1}}) {
    HybridStreamModel model = model_with_dropout(layers[0], layers[1], layers[2], layers[3]);
    for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
      for (const bool inside : {false, true}) {
        const auto plain = results(model, batch, Recompute::none, precision, inside);
        for (const Recompute which : {Recompute::co_transformer, Recompute::all}) {
          expect_same(results(model, batch, which, precision, inside), plain);
        }
      }
    }
  }
}

TEST(Recompute, ChangesNoBitOfLossAndGradients) {
  expect_no_bit_changed(small_batch({5, 7, 3}, {4, 2, 6}));
}

TEST(Recompute, ChangesNoBitWithoutPadding) {
  expect_no_bit_changed(packed(small_batch({5, 7, 3}, {4, 2, 6})));
}

TEST(Recompute, LeavesFrozenLayersAlone) {
  HybridStreamModel model = model_with_dropout(2, 1, 1, 2);
  for (auto& parameter : model->text_stream->parameters()) parameter.set_requires_grad(false);
  for (auto& parameter : model->text_embedding->parameters()) parameter.set_requires_grad(false);
  const PairBatch batch = small_batch({5, 7, 3}, {4, 2, 6});
  const auto plain = results(model, batch, Recompute::none, Precision::float32, false);
  expect_same(results(model, batch, Recompute::all, Precision::float32, false), plain);
}

/// Counts the bytes of the tensors that this thread makes and lets go of.
class TensorMemory : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t bytes, size_t, size_t, c10::Device) override {
    held_ += bytes;
    most_ = std::max(most_, held_);
  }
  bool memoryProfilingEnabled() const override { return true; }

  int64_t held() const { return held_; }
  int64_t most() const { return most_; }

 private:
  int64_t held_ = 0;
  int64_t most_ = 0;
};

struct Memory {
  int64_t after_forward;
  int64_t most;
};

Memory memory_of(HybridStreamModel& model, const PairBatch& batch, Recompute which) {
  model->recompute(which);
  model->zero_grad();
  const auto memory = std::make_shared<TensorMemory>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, memory);
  const at::Tensor loss = loss_of(model, batch);
  const int64_t held = memory->held();
  loss.backward();
  return {held, memory->most()};
}

TEST(Recompute, KeepsLittleForTheBackwardPass) {
  HybridStreamModel model = model_with_dropout(4, 4, 4, 6);
  const PairBatch batch = small_batch(std::vector<int64_t>(16, 12), std::vector<int64_t>(16, 8));
  const Memory plain = memory_of(model, batch, Recompute::none);
  const Memory co = memory_of(model, batch, Recompute::co_transformer);
  const Memory all = memory_of(model, batch, Recompute::all);
  EXPECT_LT(co.after_forward, plain.after_forward * 3 / 4);
  EXPECT_LT(all.after_forward, plain.after_forward / 4);
  EXPECT_LT(co.most, plain.most);
  EXPECT_LT(all.most, plain.most / 2);
}

}  // namespace
}  // namespace capture
