#include "capture/model/attention.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace capture {
namespace {

/// softmax(q kᵀ / √d) v, one number after the other; keys where mask is false do not exist.
at::Tensor reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask) {
  const int64_t batch = q.size(0), heads = q.size(1), queries = q.size(2), width = q.size(3), keys = k.size(2);
  const at::Tensor out = at::zeros({batch, queries, heads * width}, at::kDouble);
  const auto qa = q.accessor<float, 4>(), ka = k.accessor<float, 4>(), va = v.accessor<float, 4>();
  const auto ma = mask.accessor<bool, 2>();
  auto oa = out.accessor<double, 3>();
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t i = 0; i < queries; ++i) {
        double sum = 0.0;
        std::vector<double> weights(static_cast<size_t>(keys), 0.0);
        for (int64_t j = 0; j < keys; ++j) {
          if (!ma[b][j]) continue;
          double score = 0.0;
          for (int64_t d = 0; d < width; ++d) score += double{qa[b][h][i][d]} * double{ka[b][h][j][d]};
          weights[static_cast<size_t>(j)] = std::exp(score / std::sqrt(static_cast<double>(width)));
          sum += weights[static_cast<size_t>(j)];
        }
        for (int64_t j = 0; j < keys; ++j) {
          for (int64_t d = 0; d < width; ++d) {
            oa[b][i][h * width + d] += weights[static_cast<size_t>(j)] / sum * double{va[b][h][j][d]};
          }
        }
      }
    }
  }
  return out.to(at::kFloat);
}

class Attention : public ::testing::Test {
 protected:
  at::Tensor q_ = at::randn({2, 3, 5, 4});
  at::Tensor k_ = at::randn({2, 3, 7, 4});
  at::Tensor v_ = at::randn({2, 3, 7, 4});
  at::Tensor mask_ = at::arange(7).lt(at::tensor({4, 7}).unsqueeze(1));
};

TEST_F(Attention, BothKernelsEqualTheFormula) {
  const at::Tensor all = at::ones({2, 7}, at::kBool);
  EXPECT_TRUE(at::allclose(attend(q_, k_, v_, {}, 0.0), reference(q_, k_, v_, all), 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(attend(q_, k_, v_, padding_bias(mask_), 0.0), reference(q_, k_, v_, mask_), 1e-5, 1e-6));
  const at::Tensor differentiated = q_.clone().requires_grad_();
  EXPECT_TRUE(at::allclose(attend(differentiated, k_, v_, {}, 0.0), reference(q_, k_, v_, all), 1e-5, 1e-6));
  EXPECT_TRUE(
      at::allclose(attend(differentiated, k_, v_, padding_bias(mask_), 0.0), reference(q_, k_, v_, mask_), 1e-5, 1e-6));
}

TEST_F(Attention, NothingToAttendToGivesAMeanNotNaN) {
  const at::Tensor nothing = padding_bias(at::zeros({2, 7}, at::kBool));
  for (const bool differentiated : {false, true}) {
    const at::Tensor q = q_.clone().requires_grad_(differentiated);
    const at::Tensor mean = v_.mean(2, true).expand({2, 3, 5, 4}).transpose(1, 2).flatten(2);
    EXPECT_TRUE(at::allclose(attend(q, k_, v_, nothing, 0.0), mean, 1e-5, 1e-6));
  }
}

TEST_F(Attention, HeadsComeApartInTheOrderOfThePackedProjection) {
  const at::Tensor packed = at::arange(2 * 3 * 12).reshape({2, 3, 12});
  const auto parts = split_heads(packed, 3, 2);
  ASSERT_EQ(parts.size(), 3U);
  // Part 1, head 1 of sample 0, token 2: columns 4 + 2 … 4 + 3.
  EXPECT_TRUE(at::equal(parts[1][0][1][2], packed[0][2].narrow(0, 6, 2)));
}

TEST_F(Attention, DropoutScalesWhatItKeeps) {
  const at::Tensor q = at::zeros({1, 1, 2000, 4}).requires_grad_();
  const at::Tensor ones = at::ones({1, 1, 10, 4});
  const at::Tensor out = attend(q, ones, ones, {}, 0.5);
  EXPECT_NEAR(out.mean().item<double>(), 1.0, 0.05);
  EXPECT_GT(out.std().item<double>(), 0.1);
}

}  // namespace
}  // namespace capture
