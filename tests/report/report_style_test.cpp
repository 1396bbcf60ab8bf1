// The report's colours, against the contrast that WCAG 2 asks for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string>

#include "capture/report/report.h"
#include "whole_report.h"

namespace capture {
namespace {

/// Relative luminance and contrast as WCAG 2 defines them.
double luminance(const std::string& hex) {
  const std::string full = hex.size() == 3 ? std::string{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]} : hex;
  double sum = 0;
  for (int i = 0; i < 3; ++i) {
    const double value = std::stoi(full.substr(2 * i, 2), nullptr, 16) / 255.0;
    const double linear = value <= 0.04045 ? value / 12.92 : std::pow((value + 0.055) / 1.055, 2.4);
    sum += linear * std::array{0.2126, 0.7152, 0.0722}[i];
  }
  return sum;
}

double contrast(const std::string& a, const std::string& b) {
  const auto [low, high] = std::minmax({luminance(a), luminance(b)});
  return (high + 0.05) / (low + 0.05);
}

/// The colours that a :root{…} block of the style sheet names: "--ink:#1b1f23" as ink → 1b1f23.
std::map<std::string, std::string> colors_of(std::string_view block) {
  std::map<std::string, std::string> colors;
  for (size_t at = block.find("--"); at != std::string_view::npos; at = block.find("--", at + 2)) {
    const size_t value = block.find(":#", at);
    if (value == std::string_view::npos) break;
    const size_t end = block.find_first_not_of("0123456789abcdef", value + 2);
    colors.emplace(block.substr(at + 2, value - at - 2), block.substr(value + 2, end - value - 2));
  }
  return colors;
}

TEST(Report, TextStandsOutInEveryScheme) {
  const std::string html = render_report({}).html;
  size_t schemes = 0;
  for (size_t at = html.find(":root{"); at != std::string::npos; at = html.find(":root{", at + 1), ++schemes) {
    const auto colors = colors_of(std::string_view(html).substr(at, html.find('}', at) - at));
    for (const char* ink : {"ink", "soft", "accent", "hit", "miss", "s0", "s1", "s2", "s3", "s4", "s5"}) {
      for (const char* ground : {"page", "card", "tint"}) {
        EXPECT_GE(contrast(colors.at(ink), colors.at(ground)), 4.5)
            << ink << " on " << ground << ", scheme " << schemes;
      }
    }
    EXPECT_GE(contrast(colors.at("edge"), colors.at("page")), 3) << "controls, scheme " << schemes;
  }
  EXPECT_EQ(schemes, 3u);  // light, dark, paper
}

}  // namespace
}  // namespace capture
