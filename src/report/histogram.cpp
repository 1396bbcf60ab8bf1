// Histograms as SVG.
#include <algorithm>
#include <cmath>

#include "axis.h"
#include "capture/report/html.h"
#include "capture/report/plot.h"

namespace capture {

namespace {

constexpr double kWidth = 420;
constexpr double kHeight = 236;
constexpr double kTop = 30;
constexpr double kBottom = 40;
constexpr double kLeft = 40;
constexpr double kGlyph = 6;  // mean advance of a character
constexpr std::string_view kColors[] = {"s0", "s1", "s2", "s3", "s4", "s5"};

std::string px(double value) {
  return fixed(value, 1);
}

/// The outline of the bins, as steps from the base line and back to it.
std::string outline(const std::vector<double>& shares, const Axis& x, const Axis& y) {
  const double width = (x.to - x.from) / static_cast<double>(shares.size());
  std::string path = "M";
  path += px(x.from) + " " + px(y.from);
  for (size_t i = 0; i < shares.size(); ++i) {
    const double share = drawable(shares[i]) ? std::max(0.0, shares[i]) : 0;
    path.append("V").append(px(y.at(share)));
    path.append("H").append(px(x.from + width * static_cast<double>(i + 1)));
  }
  return path.append("V").append(px(y.from));
}

/// The middle of a histogram: half of the values lie below.
double median(const ReportHistogram& histogram, const std::vector<double>& shares) {
  double total = 0;
  for (const double share : shares) total += std::max(0.0, share);
  double below = 0;
  const double width = (histogram.high - histogram.low) / static_cast<double>(shares.size());
  for (size_t i = 0; i < shares.size(); ++i) {
    const double share = std::max(0.0, shares[i]);
    if (share > 0 && below + share >= total / 2) {
      return histogram.low + width * (static_cast<double>(i) + (total / 2 - below) / share);
    }
    below += share;
  }
  return histogram.high;
}

bool has_share(const ReportSeries& series) {
  return std::any_of(series.y.begin(), series.y.end(), [](double share) { return drawable(share) && share > 0; });
}

std::string spoken(const ReportHistogram& histogram) {
  std::string text = "Histogram. " + histogram.title + ".";
  for (const ReportSeries& series : histogram.series) {
    if (!has_share(series)) continue;
    text += " " + series.name + ": half lie below a " + histogram.x_label + " of " +
            brief(median(histogram, series.y)) + ".";
  }
  return text;
}

void draw_ticks(HtmlWriter& svg, const Axis& x, const Axis& y) {
  for (const double tick : y.ticks) {
    const std::string at = px(y.at(tick));
    svg.element("line", {{"class", "grid"}, {"x1", px(x.from)}, {"x2", px(x.to)}, {"y1", at}, {"y2", at}}, "");
    svg.element("text", {{"class", "tick"}, {"x", px(x.from - 7)}, {"y", at}, {"dy", "0.35em"}, {"text-anchor", "end"}},
                fixed(100 * tick, 0));
  }
  for (const double tick : x.ticks) {
    const std::string at = px(x.at(tick));
    svg.element("line", {{"class", "axis"}, {"x1", at}, {"x2", at}, {"y1", px(y.from)}, {"y2", px(y.from + 4)}}, "");
    svg.element("text", {{"class", "tick"}, {"x", at}, {"y", px(y.from + 17)}, {"text-anchor", "middle"}},
                x.number(tick));
  }
}

/// The series' names over the plot, the last at the right edge, each with a piece of its line.
void draw_names(HtmlWriter& svg, const ReportHistogram& histogram) {
  double right = kWidth - 8;
  for (size_t i = histogram.series.size(); i-- > 0;) {
    const ReportSeries& series = histogram.series[i];
    if (!has_share(series)) continue;
    const auto group = svg.open("g", {{"class", kColors[i % std::size(kColors)]}});
    svg.element("text", {{"class", "end"}, {"x", px(right)}, {"y", "13"}, {"text-anchor", "end"}}, series.name);
    right -= kGlyph * static_cast<double>(series.name.size()) + 22;
    svg.element(
        "path",
        {{"class", i % 2 == 0 ? "line" : "line dashed"}, {"d", std::string("M").append(px(right)).append(" 9.5h16")}},
        "");
    right -= 14;
  }
}

void draw_series(HtmlWriter& svg, const ReportHistogram& histogram, const Axis& x, const Axis& y) {
  for (size_t i = 0; i < histogram.series.size(); ++i) {
    const ReportSeries& series = histogram.series[i];
    if (!has_share(series)) continue;
    const auto group = svg.open("g", {{"class", kColors[i % std::size(kColors)]}});
    svg.element("path", {{"class", i % 2 == 0 ? "area" : "area dashed"}, {"d", outline(series.y, x, y)}}, "");
  }
  const std::string base = px(y.from);
  svg.element("line", {{"class", "axis"}, {"x1", px(x.from)}, {"x2", px(x.to)}, {"y1", base}, {"y2", base}}, "");
}

}  // namespace

std::string render_histogram(const ReportHistogram& histogram) {
  double highest = 0;
  for (const ReportSeries& series : histogram.series) {
    for (const double share : series.y) highest = drawable(share) ? std::max(highest, share) : highest;
  }
  const bool ranged = drawable(histogram.low) && drawable(histogram.high) && histogram.high > histogram.low;
  if (highest <= 0 || !ranged) return {};
  Axis x{.low = histogram.low, .high = histogram.high, .from = kLeft, .to = kWidth - 8};
  x.ticks = nice_ticks(x.low, x.high, 9);
  Axis y{.low = 0, .high = highest, .from = kHeight - kBottom, .to = kTop};
  y.ticks = nice_ticks(0, highest, 6);
  HtmlWriter svg;
  {
    const auto root = svg.open("svg", {{"class", "plot"},
                                       {"viewBox", "0 0 " + px(kWidth) + " " + px(kHeight)},
                                       {"role", "img"},
                                       {"aria-label", spoken(histogram)}});
    draw_ticks(svg, x, y);
    draw_series(svg, histogram, x, y);
    draw_names(svg, histogram);
    svg.element("text", {{"class", "name"}, {"x", "4"}, {"y", "13"}}, "% of each");
    svg.element("text", {{"class", "name"}, {"x", px(x.to)}, {"y", px(kHeight - 5)}, {"text-anchor", "end"}},
                histogram.x_label);
  }
  return svg.take();
}

}  // namespace capture
