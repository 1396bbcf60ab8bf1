// How much memory the contrast with the pairs of all processes takes.
#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "capture/objectives/pretraining.h"
#include "distributed/on_ranks.h"

namespace capture {
namespace {

constexpr int64_t kPairs = 8;  // of a process
constexpr int64_t kRanks = 4;
constexpr size_t kOwnScores = sizeof(float) * (2 * kPairs) * (2 * kPairs * kRanks);

thread_local size_t largest_bytes = 0;

std::unique_ptr<at::ObserverContext> see_nothing(const at::RecordFunction& /*function*/) {
  return nullptr;
}

void see_outputs(const at::RecordFunction& function, at::ObserverContext* /*context*/) {
  for (const auto& value : function.outputs()) {
    if (!value.isTensor() || !value.toTensor().defined()) continue;
    largest_bytes = std::max(largest_bytes, value.toTensor().nbytes());
  }
}

/// Bytes of the largest tensor that any operation of `work` returns, on this thread.
template <class Work>
size_t largest_in(const Work& work) {
  largest_bytes = 0;
  const auto callback = at::addThreadLocalCallback(
      at::RecordFunctionCallback(see_nothing, see_outputs).needsOutputs(true).scopes({at::RecordScope::FUNCTION}));
  work();
  at::removeCallback(callback);
  return largest_bytes;
}

/// The scores of its own rows against everyone's, [2B, 2B · processes], and not those of all rows.
TEST(ContrastiveLoss, EachProcessHoldsTheScoresOfItsOwnRowsAlone) {
  on_ranks(kRanks, [](const ProcessGroup& group) {
    for (const int64_t counted : {int64_t{-1}, kPairs * kRanks - 3}) {
      const at::Tensor regions = at::randn({kPairs, 4}).requires_grad_();
      const at::Tensor texts = at::randn({kPairs, 4}).requires_grad_();
      at::Tensor loss;
      EXPECT_EQ(largest_in([&] { loss = contrastive_loss(regions, texts, 0.07, group, counted); }), kOwnScores);
      EXPECT_EQ(largest_in([&] { loss.backward(); }), kOwnScores);
      EXPECT_TRUE(regions.grad().defined() && texts.grad().defined());
    }
  });
}

}  // namespace
}  // namespace capture
