// Differences of two runs with their intervals, as SVG.
#include <algorithm>

#include "axis.h"
#include "capture/report/comparison.h"
#include "capture/report/html.h"
#include "capture/report/plot.h"

namespace capture {

namespace {

constexpr double kWidth = 460;
constexpr double kRow = 26;
constexpr double kTop = 4;
constexpr double kNames = 158;  // width left to the names
constexpr double kValues = 46;  // and to the numbers
constexpr double kBelow = 34;   // ticks and the unit

std::string px(double value) {
  return fixed(value, 1);
}

std::string spoken(const std::vector<PlotDifference>& differences) {
  std::string text = "Differences in points, with intervals.";
  for (const PlotDifference& one : differences) {
    text.append(" ").append(one.name).append(": ").append(signed_points(one.difference));
    text.append(", from ").append(signed_points(one.low)).append(" to ").append(signed_points(one.high)).append(".");
  }
  return text;
}

/// The axis, in points, with zero on it.
Axis axis_of(const std::vector<PlotDifference>& differences) {
  double low = 0;
  double high = 0;
  for (const PlotDifference& one : differences) {
    low = std::min({low, 100 * one.low, 100 * one.difference});
    high = std::max({high, 100 * one.high, 100 * one.difference});
  }
  if (high - low < 1e-9) high = low + 1;
  Axis x{.low = low, .high = high, .from = kNames + 14, .to = kWidth - kValues};
  x.ticks = nice_ticks(low, high, 5);
  return x;
}

void draw_grid(HtmlWriter& svg, const Axis& x, double bottom) {
  for (const double tick : x.ticks) {
    const std::string at = px(x.at(tick));
    svg.element("line", {{"class", "grid"}, {"x1", at}, {"x2", at}, {"y1", px(kTop)}, {"y2", px(bottom)}}, "");
    svg.element("text", {{"class", "tick"}, {"x", at}, {"y", px(bottom + 14)}, {"text-anchor", "middle"}},
                x.number(tick));
  }
  const std::string zero = px(x.at(0));
  svg.element("line", {{"class", "zero"}, {"x1", zero}, {"x2", zero}, {"y1", px(kTop)}, {"y2", px(bottom)}}, "");
  svg.element("text", {{"class", "name"}, {"x", px(x.to)}, {"y", px(bottom + 30)}, {"text-anchor", "end"}}, "points");
}

void draw_row(HtmlWriter& svg, const Axis& x, const PlotDifference& one, double at) {
  const bool apart = one.low > 0 || one.high < 0;  // the interval leaves zero out
  const std::string y = px(at);
  const auto group = svg.open("g", {{"class", !apart ? "even" : one.difference > 0 ? "gain" : "loss"}});
  const auto words = [&](std::string_view type, double right, const std::string& text) {
    svg.element("text", {{"class", type}, {"x", px(right)}, {"y", y}, {"dy", "0.35em"}, {"text-anchor", "end"}}, text);
  };
  words("rowname", kNames, one.name);
  svg.element(
      "line",
      {{"class", "range"}, {"x1", px(x.at(100 * one.low))}, {"x2", px(x.at(100 * one.high))}, {"y1", y}, {"y2", y}},
      "");
  svg.element("circle", {{"class", "dot"}, {"cx", px(x.at(100 * one.difference))}, {"cy", y}, {"r", "4.2"}}, "");
  words("rowvalue", kWidth - 4, signed_points(one.difference));
}

}  // namespace

std::string render_differences(const std::vector<PlotDifference>& differences) {
  if (differences.empty()) return {};
  const double bottom = kRow * static_cast<double>(differences.size()) + kTop + 2;
  const Axis x = axis_of(differences);
  HtmlWriter svg;
  {
    const auto root = svg.open("svg", {{"class", "plot"},
                                       {"viewBox", "0 0 " + px(kWidth) + " " + px(bottom + kBelow)},
                                       {"role", "img"},
                                       {"aria-label", spoken(differences)}});
    draw_grid(svg, x, bottom);
    for (size_t i = 0; i < differences.size(); ++i) {
      draw_row(svg, x, differences[i], kRow * (static_cast<double>(i) + 0.5) + kTop);
    }
  }
  return svg.take();
}

}  // namespace capture
