#include "capture/data/sample_view.h"

#include <c10/util/Half.h>
#include <gtest/gtest.h>

#include <bit>
#include <vector>

namespace capture {
namespace {

TEST(RegionsView, ReadsEveryFloat16) {
  // All 65536 of them, in rows whose length is no multiple of what the processor takes at once.
  constexpr size_t kWidth = 1009;
  std::vector<uint16_t> halves(66 * kWidth, 0);
  for (size_t i = 0; i < 65536; ++i) halves[i] = static_cast<uint16_t>(i);
  RegionsView view;
  view.count = 66;
  view.feature_width = kWidth;
  view.features = std::as_bytes(std::span(halves));
  const auto same = [](float a, float b) {
    return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) || (a != a && b != b);
  };

  std::vector<float> all(halves.size());
  view.copy_features(all.data());
  std::vector<float> row(kWidth);
  std::vector<float> sum(kWidth, 0.0F);
  std::vector<float> expected_sum(kWidth, 0.0F);
  for (size_t i = 0; i < halves.size(); ++i) {
    const size_t column = i % kWidth;
    if (column == 0) view.copy_feature_and_add(static_cast<int64_t>(i / kWidth), row.data(), sum.data());
    const float expected = c10::detail::fp16_ieee_to_fp32_value(halves[i]);
    expected_sum[column] += expected;
    ASSERT_TRUE(same(all[i], expected)) << i;
    ASSERT_TRUE(same(row[column], expected)) << i;
    ASSERT_TRUE(same(sum[column], expected_sum[column])) << i;
  }
}

}  // namespace
}  // namespace capture
