#include "axis.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "capture/report/html.h"
#include "capture/report/plot.h"

namespace capture {

namespace {

constexpr double kLargest = 1e30;

/// Very small and very large numbers share a power of ten, written once beside the axis.
int shared_exponent(double largest) {
  if (largest == 0) return 0;
  const int exponent = static_cast<int>(std::floor(std::log10(largest)));
  return exponent < -2 || exponent > 4 ? exponent : 0;
}

/// The range of all drawable numbers `of` the series.
template <class Values>
std::pair<double, double> range(const std::vector<ReportSeries>& series, Values of) {
  double low = kLargest;
  double high = -kLargest;
  for (const ReportSeries& line : series) {
    for (size_t i = 0; i < line.x.size(); ++i) {
      if (!drawable(line.x[i]) || !drawable(line.y[i])) continue;
      low = std::min(low, of(line, i));
      high = std::max(high, of(line, i));
    }
  }
  return {low, high};
}

/// Too narrow to put ticks on.
bool is_constant(double low, double high) {
  return high - low <= std::max(1 / kLargest, 1e-9 * std::max(std::abs(low), std::abs(high)));
}

}  // namespace

bool drawable(double value) {
  return std::abs(value) < kLargest;  // false for NaN
}

std::string Axis::number(double tick) const {
  const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : std::max(std::abs(tick), 1.0);
  const int decimals = static_cast<int>(std::ceil(-std::log10(step) - 1e-9)) + exponent;
  return fixed(tick * std::pow(10.0, -exponent), std::clamp(decimals, 0, 6));
}

Axis x_axis(const std::vector<ReportSeries>& series, double from, double to) {
  auto [low, high] = range(series, [](const ReportSeries& line, size_t i) { return line.x[i]; });
  const bool single = is_constant(low, high);
  Axis axis{.low = low, .high = high, .from = from, .to = to};
  if (single) {
    axis.ticks = {low};
    axis.low = low - std::max(1.0, std::abs(low) * 0.5);
    axis.high = low + std::max(1.0, std::abs(low) * 0.5);
  } else {
    if (low > 0 && low < high / 4) axis.low = 0;  // steps count from zero, whenever the first was logged
    axis.ticks = nice_ticks(axis.low, high, 6, /*whole=*/high - axis.low >= 1);
  }
  axis.exponent = high >= 10000 ? 3 : 0;
  return axis;
}

Axis y_axis(const std::vector<ReportSeries>& series, double from, double to) {
  auto [low, high] = range(series, [](const ReportSeries& line, size_t i) { return line.y[i]; });
  if (low > 0 && (low < high / 2 || is_constant(low, high))) low = 0;
  if (high < 0 && (high > low / 2 || is_constant(low, high))) high = 0;
  if (is_constant(low, high)) high = low + 1;
  Axis axis{.low = low, .high = high, .from = from, .to = to};
  axis.ticks = nice_ticks(low, high, 6);
  axis.exponent = shared_exponent(std::max(std::abs(low), std::abs(high)));
  return axis;
}

std::string superscript(int value) {
  static constexpr std::string_view kDigits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string text = value < 0 ? "⁻" : "";
  for (const char digit : std::to_string(std::abs(value))) text += kDigits[digit - '0'];
  return text;
}

std::string brief(double value) {
  const double size = std::abs(value);
  if (size < 1 / kLargest) return "0";
  const int exponent = static_cast<int>(std::floor(std::log10(size)));
  if (exponent < -3 || exponent > 5) {
    return fixed(value * std::pow(10.0, -exponent), 1) + "×10" + superscript(exponent);
  }
  return fixed(value, std::clamp(2 - exponent, 0, 5));
}

std::vector<double> nice_ticks(double low, double high, int at_most, bool whole) {
  if (!(high > low)) return {low};
  const double rough = (high - low) / (at_most - 1);
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * power >= rough * (1 - 1e-9)) step = factor * power;
  }
  if (whole) step = std::max(step, 1.0);
  std::vector<double> ticks;
  const double first = std::ceil(low / step - 1e-6);
  for (int i = 0; i < at_most && (first + i) * step <= high + 1e-6 * step; ++i) ticks.push_back((first + i) * step);
  return ticks;
}

}  // namespace capture
