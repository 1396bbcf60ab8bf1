// The axes of a line chart: which values they span, where their ticks stand, and how numbers are written.
#pragma once

#include <string>
#include <vector>

#include "capture/report/report.h"

namespace capture {

/// Whether a number can stand on an axis: finite, and below 1e30 in size, past which differences overflow or vanish.
bool drawable(double value);

struct Axis {
  double low;  ///< the values at both ends, low < high
  double high;
  double from;  ///< position of low, in SVG units
  double to;    ///< position of high
  std::vector<double> ticks = {};
  int exponent = 0;  ///< numbers are written as multiples of 10^exponent

  double at(double value) const { return from + (value - low) / (high - low) * (to - from); }
  std::string number(double tick) const;
};

/// The axis of all x values (or y values) that can be drawn; at least one point of the series can be.
Axis x_axis(const std::vector<ReportSeries>& series, double from, double to);
Axis y_axis(const std::vector<ReportSeries>& series, double from, double to);

/// 7 as "⁷".
std::string superscript(int value);

/// Three significant digits, as a person would write them: 0.0821, 3.14, 1240, 5.0×10⁻⁵.
std::string brief(double value);

}  // namespace capture
