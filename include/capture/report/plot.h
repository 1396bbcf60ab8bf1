// Line charts as SVG, coloured by the page's style sheet so that they follow its light or dark scheme.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "capture/report/report.h"

namespace capture {

/// Round numbers (1, 2 or 5 times a power of ten apart, and whole numbers apart if `whole`) from low to high,
/// ascending, at most `at_most` of them. low <= high, both finite, at_most >= 2.
std::vector<double> nice_ticks(double low, double high, int at_most, bool whole = false);

/// The series with at most `points` points: each is the mean of as many neighbours, those that cannot be drawn left
/// out; a run of them with nothing to draw becomes a NaN, which is a gap in the line.
ReportSeries thinned(const ReportSeries& series, size_t points);

/// The chart as an <svg> element with a spoken summary, or "" when no series has a point that can be drawn (finite and
/// below 1e30 in size). Several series of a chart share one y axis; it starts at zero unless that would waste half of
/// the space.
std::string render_chart(const ReportChart& chart);

/// The histogram as an <svg> element with a spoken summary: one outline a series, filled, on a common scale. "" when no
/// series has a share above 0.
std::string render_histogram(const ReportHistogram& histogram);

/// A difference of two runs and its interval, for render_differences.
struct PlotDifference {
  std::string name;
  double difference = 0;  ///< a fraction, like low and high; all finite
  double low = 0;
  double high = 0;
};

/// Differences as dots with their intervals as lines, one under the other, on either side of zero; in points. ""
/// without any.
std::string render_differences(const std::vector<PlotDifference>& differences);

}  // namespace capture
