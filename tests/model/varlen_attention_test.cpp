// Attention over packed sequences by LibTorch's operations. The GPU's kernel is asked for as on a GPU, and answered by
// a stand-in that follows its description: [1, rows, heads, d], and where each sequence starts.
#include "../../src/model/varlen_attention.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/library.h>

#include <array>
#include <cmath>

#include "../../src/model/plain_form.h"
#include "capture/model/attention.h"
#include "capture/tensor/device.h"
#include "model/small_model.h"

namespace capture {
namespace {

/// Rows b's starts say of sequence b, by head: [heads, rows of b, d].
at::Tensor of_sequence(const at::Tensor& all, const at::Tensor& starts, int64_t b) {
  const int64_t first = starts[b].item<int64_t>();
  return all[0].narrow(0, first, starts[b + 1].item<int64_t>() - first).transpose(0, 1);
}

at::Tensor weights_of(const at::Tensor& q, const at::Tensor& k) {
  return at::softmax(q.matmul(k.transpose(1, 2)) / std::sqrt(static_cast<double>(q.size(-1))), -1);
}

using Maybe = std::optional<at::Tensor>;

/// Of the last call of a stand-in's forward pass.
bool kept_for_backward = false;

void check_kernel_input(const at::Tensor& tensor, const at::Tensor& starts, const c10::SymInt& longest) {
  ASSERT_EQ(tensor.dim(), 4);
  ASSERT_EQ(tensor.size(0), 1);
  EXPECT_EQ(tensor.stride(3), 1);
  EXPECT_EQ(starts.scalar_type(), at::kInt);
  EXPECT_TRUE(starts.is_contiguous());
  EXPECT_EQ(starts.slice(0, -1).item<int64_t>(), tensor.size(1));
  EXPECT_EQ(starts.diff().max().item<int64_t>(), longest.guard_int(__FILE__, __LINE__));
}

at::Tensor attended(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& q_starts,
                    const at::Tensor& k_starts, const c10::SymInt& longest_q, const c10::SymInt& longest_k) {
  check_kernel_input(q, q_starts, longest_q);
  check_kernel_input(k, k_starts, longest_k);
  check_kernel_input(v, k_starts, longest_k);
  at::Tensor out = at::empty(q.sizes());
  for (int64_t b = 0; b + 1 < q_starts.size(0); ++b) {
    const at::Tensor weights = weights_of(of_sequence(q, q_starts, b), of_sequence(k, k_starts, b));
    of_sequence(out, q_starts, b).copy_(weights.matmul(of_sequence(v, k_starts, b)));
  }
  return out;
}

std::array<at::Tensor, 3> gradients_of(const at::Tensor& gradient, const at::Tensor& q, const at::Tensor& k,
                                       const at::Tensor& v, const at::Tensor& q_starts, const at::Tensor& k_starts,
                                       const c10::SymInt& longest_q, const c10::SymInt& longest_k) {
  check_kernel_input(q, q_starts, longest_q);
  check_kernel_input(k, k_starts, longest_k);
  const at::Tensor q_gradient = at::empty(q.sizes()), k_gradient = at::empty(k.sizes()),
                   v_gradient = at::empty(v.sizes());
  for (int64_t b = 0; b + 1 < q_starts.size(0); ++b) {
    const at::Tensor queries = of_sequence(q, q_starts, b), keys = of_sequence(k, k_starts, b);
    const at::Tensor weights = weights_of(queries, keys);
    const at::Tensor direction = of_sequence(gradient, q_starts, b);
    const at::Tensor to_weights = direction.matmul(of_sequence(v, k_starts, b).transpose(1, 2));
    const at::Tensor to_scores = weights * (to_weights - (to_weights * weights).sum(-1, /*keepdim=*/true)) /
                                 std::sqrt(static_cast<double>(q.size(-1)));
    of_sequence(q_gradient, q_starts, b).copy_(to_scores.matmul(keys));
    of_sequence(k_gradient, k_starts, b).copy_(to_scores.transpose(1, 2).matmul(queries));
    of_sequence(v_gradient, k_starts, b).copy_(weights.transpose(1, 2).matmul(direction));
  }
  return {q_gradient, k_gradient, v_gradient};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, c10::SymInt, c10::SymInt> efficient_forward(
    const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Maybe& bias, const Maybe& q_starts,
    const Maybe& k_starts, std::optional<c10::SymInt> longest_q, std::optional<c10::SymInt> longest_k, double dropout,
    int64_t mask, bool keeps, std::optional<double> scale, const Maybe& lengths, std::optional<int64_t> window) {
  EXPECT_FALSE(bias || lengths || window || scale);
  EXPECT_EQ(mask, 0);
  EXPECT_EQ(dropout, 0.0);
  kept_for_backward = keeps;
  const at::Tensor sums = at::empty({q_starts->size(0) - 1, q.size(2), keeps ? 32 : 0});
  return {attended(q, k, v, *q_starts, *k_starts, *longest_q, *longest_k),
          sums,
          at::zeros({}, at::kLong),
          at::zeros({}, at::kLong),
          *longest_q,
          *longest_k};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> efficient_backward(
    const at::Tensor& gradient, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Maybe& /*bias*/,
    const at::Tensor& /*out*/, const Maybe& q_starts, const Maybe& k_starts, c10::SymInt longest_q,
    c10::SymInt longest_k, const at::Tensor& sums, double /*dropout*/, const at::Tensor& /*seed*/,
    const at::Tensor& /*offset*/, int64_t /*mask*/, bool /*bias_wanted*/, std::optional<double> /*scale*/,
    std::optional<int64_t> /*splits*/, std::optional<int64_t> /*window*/, bool /*shared*/) {
  EXPECT_GT(sums.size(2), 0) << "the forward pass was not told to keep the sums that this one needs";
  const auto [to_q, to_k, to_v] = gradients_of(gradient, q, k, v, *q_starts, *k_starts, longest_q, longest_k);
  return {to_q, to_k, to_v, at::Tensor()};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> flash_forward(
    const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Maybe& q_starts, const Maybe& k_starts,
    c10::SymInt longest_q, c10::SymInt longest_k, double dropout, bool causal, bool debug, std::optional<double> scale,
    std::optional<c10::SymInt> left, std::optional<c10::SymInt> right, const Maybe& lengths, const Maybe& slopes) {
  EXPECT_FALSE(causal || debug || scale || left || right || lengths || slopes);
  EXPECT_EQ(dropout, 0.0);
  EXPECT_EQ(q.dim(), 3);
  const auto all = [](const at::Tensor& rows) { return rows.unsqueeze(0); };
  const at::Tensor out = attended(all(q), all(k), all(v), *q_starts, *k_starts, longest_q, longest_k);
  const at::Tensor none = at::zeros({}, at::kLong);
  return {out.squeeze(0), at::zeros({q.size(1), q.size(0)}), none, none, none};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> flash_backward(
    const at::Tensor& gradient, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
    const at::Tensor& /*out*/, const at::Tensor& /*sums*/, const at::Tensor& q_starts, const at::Tensor& k_starts,
    c10::SymInt longest_q, c10::SymInt longest_k, double /*dropout*/, bool /*causal*/, const at::Tensor& /*state*/,
    const at::Tensor& /*unused*/, std::optional<double> /*scale*/, std::optional<c10::SymInt> /*left*/,
    std::optional<c10::SymInt> /*right*/) {
  const auto all = [](const at::Tensor& rows) { return rows.unsqueeze(0); };
  const auto [to_q, to_k, to_v] =
      gradients_of(all(gradient), all(q), all(k), all(v), q_starts, k_starts, longest_q, longest_k);
  return {to_q.squeeze(0), to_k.squeeze(0), to_v.squeeze(0)};
}

/// LibTorch has none of these on the CPU, and nothing else in these tests asks for them.
TORCH_LIBRARY_IMPL(aten, CPU, library) {
  library.impl("_efficient_attention_forward", efficient_forward);
  library.impl("_efficient_attention_backward", efficient_backward);
  library.impl("_flash_attention_forward", flash_forward);
  library.impl("_flash_attention_backward", flash_backward);
}

struct Case {
  at::Tensor projection;  ///< [rows, 3 · 4 heads · 8]
  Packing packing;

  at::Tensor part(int64_t which) const { return projection.unflatten(1, {3, 4, 8}).select(1, which); }
};

Case case_of(const std::vector<int>& starts, uint64_t seed) {
  const at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const at::Tensor where = at::tensor(starts, at::kInt);
  return {at::randn({starts.back(), 3 * 4 * 8}, generator).requires_grad_(),
          {where, where.diff().max().item<int64_t>()}};
}

/// The contexts, and the gradients of both projections.
std::vector<at::Tensor> run(VarlenWay way, const Case& from, const Case& to) {
  const at::Tensor contexts =
      varlen_attention(way, from.part(0), from.packing, to.part(1), to.part(2), to.packing, 0.0);
  const at::Tensor direction = at::sin(at::arange(contexts.numel(), at::kFloat)).view(contexts.sizes());
  const auto gradients = torch::autograd::grad({contexts}, {from.projection, to.projection}, {direction},
                                               /*retain_graph=*/false, /*create_graph=*/false, /*allow_unused=*/true);
  return {contexts, gradients[0], gradients[1]};
}

TEST(VarlenAttention, ByTheKernelsIsByPadding) {
  const Case text = case_of({0, 5, 14, 16}, 1);
  const Case regions = case_of({0, 4, 5, 12}, 2);
  for (const auto& [from, to] : {std::pair(&text, &regions), std::pair(&regions, &text), std::pair(&text, &text)}) {
    const auto expected = run(VarlenWay::padded, *from, *to);
    for (const VarlenWay way : {VarlenWay::flash, VarlenWay::efficient}) {
      const auto actual = run(way, *from, *to);
      EXPECT_EQ(actual[0].sizes(), at::IntArrayRef({from->projection.size(0), 32}));
      for (size_t i = 0; i < expected.size(); ++i) expect_near(actual[i], expected[i], 1e-5, std::to_string(i));
    }
  }
}

TEST(VarlenAttention, KeepsWhatABackwardPassNeedsWhereOneIsWanted) {
  const Case text = case_of({0, 5, 14, 16}, 1);
  const auto attend = [&] {
    varlen_attention(VarlenWay::efficient, text.part(0), text.packing, text.part(1), text.part(2), text.packing, 0.0);
    return kept_for_backward;
  };
  EXPECT_TRUE(attend());
  const at::NoGradGuard no_gradient;
  EXPECT_FALSE(attend());
}

// The memory-efficient kernel for packed sequences drops other weights in its backward pass than in its forward pass.
TEST(VarlenAttention, IsByTheEfficientKernelWithoutDropoutAlone) {
  constexpr int64_t kProducts = 0, kFlash = 1, kEfficient = 2, kCudnn = 3;
  for (const double dropout : {0.0, 0.1}) {
    EXPECT_EQ(varlen_way(kFlash, true, dropout), VarlenWay::flash);
    EXPECT_EQ(varlen_way(kEfficient, true, dropout), dropout == 0 ? VarlenWay::efficient : VarlenWay::padded);
    for (const int64_t other : {kProducts, kCudnn}) EXPECT_EQ(varlen_way(other, true, dropout), VarlenWay::padded);
    for (const int64_t any : {kProducts, kFlash, kEfficient, kCudnn}) {
      EXPECT_EQ(varlen_way(any, false, dropout), VarlenWay::padded);
    }
  }
}

TEST(VarlenAttention, OnAGpuIsAsOnTheCpu_CUDA) {
  const at::Device gpu = parse_device("auto");
  if (!gpu.is_cuda()) GTEST_SKIP() << "no GPU";
  const at::Tensor starts = at::tensor({0, 33, 60, 96, 109}, at::kInt);
  const at::Tensor qkv = at::randn({109, 3 * 8 * 64});
  const PlainForm plain;
  const at::Tensor expected = self_attention(qkv, {.count = 4, .longest = 36, .starts = starts}, 8, 0.0);
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor actual =
        self_attention(qkv.to(gpu, type), {.count = 4, .longest = 36, .starts = starts.to(gpu)}, 8, 0.0);
    expect_near(actual.cpu().to(at::kFloat), expected, type == at::kFloat ? 1e-3 : 0.05, "");
  }
}

/// Contexts are linear in the values, whatever weights are dropped; and the heads drop each their own.
TEST(VarlenAttention, DropsTheSameInBothPasses_CUDA) {
  const at::Device gpu = parse_device("auto");
  if (!gpu.is_cuda()) GTEST_SKIP() << "no GPU";
  const at::Tensor starts = at::tensor({0, 33, 60, 96, 109}, at::kInt).to(gpu);
  const Sequences sequences = {.count = 4, .longest = 36, .starts = starts};
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    for (const int64_t width : {64, 128}) {
      // All heads have the same queries, keys and values.
      const at::Tensor part = at::randn({109, 3, 1, width}, at::TensorOptions(gpu).dtype(type));
      const at::Tensor qkv = part.expand({109, 3, 8, width}).flatten(1).contiguous().requires_grad_();
      const at::Tensor contexts = self_attention(qkv, sequences, 8, 0.5);
      const at::Tensor direction = at::randn_like(contexts);
      const at::Tensor gradient = torch::autograd::grad({contexts}, {qkv}, {direction}).front();
      const auto values = [&](const at::Tensor& all) { return all.detach().chunk(3, 1)[2].to(at::kDouble); };
      const double forward = (contexts.detach().to(at::kDouble) * direction.to(at::kDouble)).sum().item<double>();
      const double backward = (values(gradient) * values(qkv)).sum().item<double>();
      EXPECT_NEAR(backward, forward, (type == at::kFloat ? 1e-3 : 0.05) * (1 + std::abs(forward)));
      const at::Tensor heads = contexts.detach().unflatten(1, {8, width});
      EXPECT_FALSE(heads.select(1, 0).equal(heads.select(1, 1)));
    }
  }
}

// A pair's NaN is its own, so that whoever looks for its source finds the right sample.
TEST(VarlenAttention, KeepsANanToItsSequence) {
  const Case text = case_of({0, 5, 14, 16}, 1);
  const at::NoGradGuard no_gradient;
  for (const int64_t part : {0, 1, 2}) {
    const Case spoilt = {text.projection.clone(), text.packing};
    spoilt.part(part)[6].fill_(std::nan(""));
    for (const VarlenWay way : {VarlenWay::padded, VarlenWay::efficient, VarlenWay::flash}) {
      const at::Tensor contexts =
          varlen_attention(way, spoilt.part(0), spoilt.packing, spoilt.part(1), spoilt.part(2), spoilt.packing, 0.0);
      const at::Tensor bad = contexts.isnan().any(1);
      EXPECT_TRUE(bad[6].item<bool>());
      EXPECT_FALSE(bad.narrow(0, 0, 5).any().item<bool>());
      EXPECT_FALSE(bad.narrow(0, 14, 2).any().item<bool>());
    }
  }
}

}  // namespace
}  // namespace capture
