#include "capture/retrieval/score_kernels.h"

#include <bit>
#include <cstring>
#include <vector>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "capture/base/processors.h"

// Each instruction set has its copy of the loops, in a region of its own. No header may be included inside one: what it
// defines would be compiled for processors that the running one may not be.

namespace capture {

namespace plain {
namespace {

constexpr int kLanes = 4, kQueryLanes = 4;

#include "score_kernels.inc"

uint32_t reaching(const float* scores, float bound) {
  uint32_t bits = 0;
  for (int l = 0; l < 2 * kLanes; ++l) bits |= static_cast<uint32_t>(scores[l] >= bound) << l;
  return bits;
}

constexpr ScoreKernel kFloat32 = {"plain", false, kQueryLanes, 2 * kLanes, score<Float32Step>, reaching, dot};

}  // namespace
}  // namespace plain

#ifdef __x86_64__

#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace avx2 {
namespace {

constexpr int kLanes = 8, kQueryLanes = 6;

#include "score_kernels.inc"

uint32_t reaching_lanes(const float* scores, __m256 bound) {
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(_mm256_load_ps(scores), bound, _CMP_GE_OQ)));
}

uint32_t reaching(const float* scores, float bound) {
  const __m256 bounds = _mm256_set1_ps(bound);
  return reaching_lanes(scores, bounds) | reaching_lanes(scores + kLanes, bounds) << kLanes;
}

constexpr ScoreKernel kFloat32 = {"AVX2", false, kQueryLanes, 2 * kLanes, score<Float32Step>, reaching, dot};

}  // namespace
}  // namespace avx2
#pragma GCC pop_options

// The float32 loop has no use for the instructions of avx512bf16 and runs without them.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bf16")
namespace avx512 {
namespace {

constexpr int kLanes = 16, kQueryLanes = 14;

#include "score_kernels.inc"

struct BFloat16Step {
  static Floats add(Floats sum, Floats items, uint32_t query) {
    const __m512i pair = _mm512_set1_epi32(static_cast<int>(query));
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(items), reinterpret_cast<__m512bh>(pair));
  }
};

uint32_t reaching_lanes(const float* scores, __m512 bound) {
  return _mm512_cmp_ps_mask(_mm512_load_ps(scores), bound, _CMP_GE_OQ);
}

uint32_t reaching(const float* scores, float bound) {
  const __m512 bounds = _mm512_set1_ps(bound);
  return reaching_lanes(scores, bounds) | reaching_lanes(scores + kLanes, bounds) << kLanes;
}

constexpr ScoreKernel kFloat32 = {"AVX-512", false, kQueryLanes, 2 * kLanes, score<Float32Step>, reaching, dot};
constexpr ScoreKernel kBFloat16 = {"AVX-512 bfloat16",  true,     kQueryLanes, 2 * kLanes,
                                   score<BFloat16Step>, reaching, dot};

}  // namespace
}  // namespace avx512
#pragma GCC pop_options

#endif

namespace {

std::vector<const ScoreKernel*> usable_kernels() {
  std::vector<const ScoreKernel*> kernels = {&plain::kFloat32};
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) kernels.push_back(&avx2::kFloat32);
  if (__builtin_cpu_supports("avx512f")) kernels.push_back(&avx512::kFloat32);
  if (__builtin_cpu_supports("avx512bf16")) kernels.push_back(&avx512::kBFloat16);
#endif
  return kernels;
}

/// The last of a kind, or null.
const ScoreKernel* fastest(bool bfloat16) {
  const ScoreKernel* best = nullptr;
  for (const ScoreKernel* kernel : score_kernels()) {
    if (kernel->bfloat16 == bfloat16) best = kernel;
  }
  return best;
}

}  // namespace

std::span<const ScoreKernel* const> score_kernels() {
  static const std::vector<const ScoreKernel*> kernels = usable_kernels();
  return kernels;
}

const ScoreKernel& float32_kernel() {
  static const ScoreKernel& kernel = *fastest(false);
  return kernel;
}

const ScoreKernel* bfloat16_kernel() {
  static const ScoreKernel* const kernel = bfloat16_pairs_pay() ? fastest(true) : nullptr;
  return kernel;
}

}  // namespace capture
