// Attention whose queries ask the states themselves, against the projections of every key and value.
#include "capture/model/absorbed_attention.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "../../src/model/plain_form.h"
#include "capture/tensor/device.h"
#include "model/small_model.h"

namespace capture {
namespace {

constexpr int64_t kWidth = 64;

/// Sequences of 5, 1 and 11 rows, of which the first and another ask.
struct Batch {
  at::Tensor states = at::randn({17, kWidth});
  at::Tensor rows = at::tensor({0, 3, 5, 5, 6, 16}, at::kLong);
  Sequences sequences = {.count = 3, .longest = 11, .starts = at::tensor({0, 5, 6, 17}, at::kInt)};
};

/// In float64, a sequence and a head at a time.
at::Tensor expected(const Batch& batch, const at::Tensor& weight, const at::Tensor& bias, int64_t heads) {
  const at::Tensor qkv = at::linear(batch.states.to(at::kDouble), weight.to(at::kDouble), bias.to(at::kDouble));
  const int64_t width = kWidth / heads;
  std::vector<at::Tensor> contexts;
  for (int64_t i = 0; i < batch.rows.size(0); ++i) {
    const auto start = batch.sequences.starts[i / 2].item<int64_t>();
    const auto end = batch.sequences.starts[i / 2 + 1].item<int64_t>();
    for (int64_t head = 0; head < heads; ++head) {
      const at::Tensor q = qkv[batch.rows[i].item<int64_t>()].narrow(0, head * width, width);
      const at::Tensor k = qkv.slice(0, start, end).narrow(1, kWidth + head * width, width);
      const at::Tensor v = qkv.slice(0, start, end).narrow(1, 2 * kWidth + head * width, width);
      contexts.push_back(at::softmax(k.mv(q) / std::sqrt(static_cast<double>(width)), 0).matmul(v));
    }
  }
  return at::cat(contexts).view({-1, kWidth}).to(at::kFloat);
}

/// By our kernels, and by LibTorch's operations.
class AbsorbedForms : public ::testing::TestWithParam<bool> {};

INSTANTIATE_TEST_SUITE_P(AbsorbedAttention, AbsorbedForms, ::testing::Bool(),
                         [](const auto& form) { return form.param ? "LibTorch" : "Own"; });

TEST_P(AbsorbedForms, GiveWhatProjectedKeysAndValuesGive) {
  const at::NoGradGuard no_gradient;
  const Batch batch;
  const at::Tensor weight = at::randn({3 * kWidth, kWidth}).div_(std::sqrt(double(kWidth)));
  const at::Tensor bias = at::randn({3 * kWidth});
  for (const int64_t heads : {1, 4}) {
    for (const auto& [type, tolerance] : {std::pair(at::kFloat, 1e-5), std::pair(at::kBFloat16, 4e-2)}) {
      SCOPED_TRACE(std::to_string(heads) + " heads in " + toString(type));
      const AbsorbedAttention absorbed(weight, bias, heads, type);
      const AutocastScope autocast(at::kCPU, type == at::kFloat ? Precision::float32 : Precision::bfloat16);
      if (!absorbed.serves(weight)) GTEST_SKIP() << "neither our own product nor oneDNN";
      std::optional<PlainForm> plain;
      if (GetParam()) plain.emplace();
      const at::Tensor contexts = absorbed(batch.states, batch.rows, batch.sequences);
      EXPECT_EQ(contexts.scalar_type(), type);
      expect_near(contexts.to(at::kFloat), expected(batch, weight, bias, heads), tolerance, "contexts");
    }
  }
}

TEST(AbsorbedAttention, IsOfTheWeightAsItIsNow) {
  at::Tensor weight = at::randn({3 * kWidth, kWidth});
  AbsorbedAttention absorbed(weight, at::randn({3 * kWidth}), 4, at::kFloat);
  if (!absorbed.made_of(weight, at::kFloat)) GTEST_SKIP() << "neither our own product nor oneDNN";
  EXPECT_FALSE(absorbed.made_of(weight, at::kBFloat16));
  EXPECT_FALSE(absorbed.serves(weight)) << "where gradients are asked for";
  const Batch batch;
  const at::NoGradGuard no_gradient;
  const at::Tensor before = absorbed(batch.states, batch.rows, batch.sequences);
  absorbed.give_up(weight);
  EXPECT_TRUE(weight.isnan().all().item<bool>());
  EXPECT_TRUE(absorbed.serves(weight));
  EXPECT_TRUE(absorbed(batch.states, batch.rows, batch.sequences).equal(before));
  weight.set_data(at::zeros({3 * kWidth, kWidth}));
  EXPECT_FALSE(absorbed.serves(weight));
}

}  // namespace
}  // namespace capture
