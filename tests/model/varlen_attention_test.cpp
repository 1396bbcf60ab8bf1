// Attention over packed sequences by LibTorch's operations. The GPU's kernel is asked for as on a GPU, and answered by
// a stand-in that follows its description: [1, rows, heads, d], and where each sequence starts.
#include "../../src/model/varlen_attention.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/library.h>

#include <cmath>

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

void check_kernel_input(const at::Tensor& tensor, const at::Tensor& starts, const c10::SymInt& longest) {
  ASSERT_EQ(tensor.dim(), 4);
  ASSERT_EQ(tensor.size(0), 1);
  EXPECT_EQ(tensor.stride(3), 1);
  EXPECT_EQ(starts.scalar_type(), at::kInt);
  EXPECT_TRUE(starts.is_contiguous());
  EXPECT_EQ(starts.slice(0, -1).item<int64_t>(), tensor.size(1));
  EXPECT_EQ(starts.diff().max().item<int64_t>(), longest.guard_int(__FILE__, __LINE__));
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, c10::SymInt, c10::SymInt> attend_as_a_gpu(
    const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Maybe& bias, const Maybe& q_starts,
    const Maybe& k_starts, std::optional<c10::SymInt> longest_q, std::optional<c10::SymInt> longest_k, double dropout,
    int64_t mask, bool keeps, std::optional<double> scale, const Maybe& lengths, std::optional<int64_t> window) {
  check_kernel_input(q, *q_starts, *longest_q);
  check_kernel_input(k, *k_starts, *longest_k);
  check_kernel_input(v, *k_starts, *longest_k);
  EXPECT_FALSE(bias || lengths || window || scale);
  EXPECT_EQ(mask, 0);
  EXPECT_EQ(dropout, 0.0);
  at::Tensor out = at::empty_like(q, at::MemoryFormat::Contiguous);
  for (int64_t b = 0; b + 1 < q_starts->size(0); ++b) {
    const at::Tensor weights = weights_of(of_sequence(q, *q_starts, b), of_sequence(k, *k_starts, b));
    of_sequence(out, *q_starts, b).copy_(weights.matmul(of_sequence(v, *k_starts, b)));
  }
  const at::Tensor sums = at::empty({q_starts->size(0) - 1, q.size(2), keeps ? 32 : 0});
  return {out, sums, at::zeros({}, at::kLong), at::zeros({}, at::kLong), *longest_q, *longest_k};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> attend_backward_as_a_gpu(
    const at::Tensor& gradient, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Maybe& /*bias*/,
    const at::Tensor& /*out*/, const Maybe& q_starts, const Maybe& k_starts, c10::SymInt longest_q,
    c10::SymInt longest_k, const at::Tensor& sums, double /*dropout*/, const at::Tensor& /*seed*/,
    const at::Tensor& /*offset*/, int64_t /*mask*/, bool /*bias_wanted*/, std::optional<double> /*scale*/,
    std::optional<int64_t> /*splits*/, std::optional<int64_t> /*window*/, bool /*shared*/) {
  check_kernel_input(q, *q_starts, longest_q);
  check_kernel_input(k, *k_starts, longest_k);
  EXPECT_GT(sums.size(2), 0) << "the forward pass was not told to keep the sums that this one needs";
  const at::Tensor q_gradient = at::empty_like(q), k_gradient = at::empty_like(k), v_gradient = at::empty_like(v);
  for (int64_t b = 0; b + 1 < q_starts->size(0); ++b) {
    const at::Tensor queries = of_sequence(q, *q_starts, b), keys = of_sequence(k, *k_starts, b);
    const at::Tensor weights = weights_of(queries, keys);
    const at::Tensor direction = of_sequence(gradient, *q_starts, b);
    const at::Tensor to_weights = direction.matmul(of_sequence(v, *k_starts, b).transpose(1, 2));
    const at::Tensor to_scores = weights * (to_weights - (to_weights * weights).sum(-1, /*keepdim=*/true)) /
                                 std::sqrt(static_cast<double>(q.size(-1)));
    of_sequence(q_gradient, *q_starts, b).copy_(to_scores.matmul(keys));
    of_sequence(k_gradient, *k_starts, b).copy_(to_scores.transpose(1, 2).matmul(queries));
    of_sequence(v_gradient, *k_starts, b).copy_(weights.transpose(1, 2).matmul(direction));
  }
  return {q_gradient, k_gradient, v_gradient, at::Tensor()};
}

/// LibTorch has neither on the CPU, and nothing else in these tests asks for them.
TORCH_LIBRARY_IMPL(aten, CPU, library) {
  library.impl("_efficient_attention_forward", attend_as_a_gpu);
  library.impl("_efficient_attention_backward", attend_backward_as_a_gpu);
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

using Way = at::Tensor (*)(const at::Tensor&, const Packing&, const at::Tensor&, const at::Tensor&, const Packing&,
                           double);

/// The contexts, and the gradients of both projections.
std::vector<at::Tensor> run(Way way, const Case& from, const Case& to) {
  const at::Tensor contexts = way(from.part(0), from.packing, to.part(1), to.part(2), to.packing, 0.0);
  const at::Tensor direction = at::sin(at::arange(contexts.numel(), at::kFloat)).view(contexts.sizes());
  const auto gradients = torch::autograd::grad({contexts}, {from.projection, to.projection}, {direction},
                                               /*retain_graph=*/false, /*create_graph=*/false, /*allow_unused=*/true);
  return {contexts, gradients[0], gradients[1]};
}

TEST(VarlenAttention, ByTheKernelIsByPadding) {
  const Case text = case_of({0, 5, 14, 16}, 1);
  const Case regions = case_of({0, 4, 5, 12}, 2);
  for (const auto& [from, to] : {std::pair(&text, &regions), std::pair(&regions, &text), std::pair(&text, &text)}) {
    const auto expected = run(attend_padded, *from, *to);
    const auto actual = run(attend_in_place, *from, *to);
    EXPECT_EQ(actual[0].sizes(), at::IntArrayRef({from->projection.size(0), 32}));
    for (size_t i = 0; i < expected.size(); ++i) expect_near(actual[i], expected[i], 1e-5, std::to_string(i));
  }
}

TEST(VarlenAttention, KeepsNothingForABackwardPassThatNobodyWants) {
  const Case text = case_of({0, 5, 14, 16}, 1);
  const at::NoGradGuard no_gradient;
  EXPECT_FALSE(attend_in_place(text.part(0), text.packing, text.part(1), text.part(2), text.packing, 0.0).grad_fn());
}

// A pair's NaN is its own, so that whoever looks for its source finds the right sample.
TEST(VarlenAttention, KeepsANanToItsSequence) {
  const Case text = case_of({0, 5, 14, 16}, 1);
  const at::NoGradGuard no_gradient;
  for (const int64_t part : {0, 1, 2}) {
    const Case spoilt = {text.projection.clone(), text.packing};
    spoilt.part(part)[6].fill_(std::nan(""));
    for (const Way way : {attend_padded, attend_in_place}) {
      const at::Tensor contexts =
          way(spoilt.part(0), spoilt.packing, spoilt.part(1), spoilt.part(2), spoilt.packing, 0.0);
      const at::Tensor bad = contexts.isnan().any(1);
      EXPECT_TRUE(bad[6].item<bool>());
      EXPECT_FALSE(bad.narrow(0, 0, 5).any().item<bool>());
      EXPECT_FALSE(bad.narrow(0, 14, 2).any().item<bool>());
    }
  }
}

}  // namespace
}  // namespace capture
