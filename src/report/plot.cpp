#include "capture/report/plot.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "axis.h"
#include "capture/report/html.h"

namespace capture {

namespace {

constexpr size_t kPoints = 240;  // about one a pixel pair: more only makes the file larger
constexpr double kWidth = 420;
constexpr double kHeight = 236;
constexpr double kTop = 26;
constexpr double kBottom = 40;
constexpr double kLeft = 40;
constexpr double kGlyph = 7.2;  // mean advance of a bold character at the label size
constexpr double kLine = 14;    // from a name to the value under it
constexpr size_t kLabelLength = 18;
constexpr size_t kLabelsOfTwoLines = 6;  // more would not fit beside each other

/// The style sheet's colours of series.
constexpr std::string_view kColors[] = {"s0", "s1", "s2", "s3", "s4", "s5"};

size_t code_points(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

/// The text cut to kLabelLength code points, the last of them an ellipsis.
std::string shortened(std::string_view text) {
  if (code_points(text) <= kLabelLength) return std::string(text);
  size_t end = 0;
  for (size_t seen = 0; end < text.size(); ++end) {
    if ((text[end] & 0xC0) != 0x80 && ++seen == kLabelLength) break;
  }
  return std::string(text.substr(0, end)) + "…";
}

std::string px(double value) {
  return fixed(value, 1);
}

void draw_axes(HtmlWriter& svg, const Axis& x, const Axis& y, const ReportChart& chart) {
  for (const double tick : y.ticks) {
    const std::string at = px(y.at(tick));
    svg.element("line", {{"class", "grid"}, {"x1", px(x.from)}, {"x2", px(x.to)}, {"y1", at}, {"y2", at}}, "");
    svg.element("text", {{"class", "tick"}, {"x", px(x.from - 7)}, {"y", at}, {"dy", "0.35em"}, {"text-anchor", "end"}},
                y.number(tick));
  }
  const std::string base = px(y.from);
  svg.element("line", {{"class", "axis"}, {"x1", px(x.from)}, {"x2", px(x.to)}, {"y1", base}, {"y2", base}}, "");
  for (const double tick : x.ticks) {
    const std::string at = px(x.at(tick));
    svg.element("line", {{"class", "axis"}, {"x1", at}, {"x2", at}, {"y1", base}, {"y2", px(y.from + 4)}}, "");
    svg.element("text", {{"class", "tick"}, {"x", at}, {"y", px(y.from + 17)}, {"text-anchor", "middle"}},
                x.number(tick) + (x.exponent == 3 && tick != 0 ? "k" : ""));
  }
  const std::string unit = y.exponent == 0 ? "" : " ×10" + superscript(y.exponent);
  svg.element("text", {{"class", "name"}, {"x", "4"}, {"y", "13"}}, chart.y_label + unit);
  svg.element("text", {{"class", "name"}, {"x", px(x.to)}, {"y", px(kHeight - 5)}, {"text-anchor", "end"}},
              chart.x_label);
}

/// The line's path: gaps where a point cannot be drawn.
std::string path_of(const ReportSeries& line, const Axis& x, const Axis& y) {
  std::string path;
  bool drawing = false;
  for (size_t i = 0; i < line.x.size(); ++i) {
    if (!drawable(line.x[i]) || !drawable(line.y[i])) {
      drawing = false;
      continue;
    }
    path += drawing ? 'L' : 'M';
    path += px(x.at(line.x[i])) + " " + px(y.at(line.y[i]));
    if (!drawing) path += "h0";  // a point with gaps on both sides shows as a dot, thanks to round line ends
    drawing = true;
  }
  return path;
}

/// Where a line ends, and the words written there.
struct End {
  size_t series;
  double x;
  double y;
  double label_y;
  std::string name;
  std::string value;
};

/// Moves labels, each `height` tall, apart from top to bottom, then back up where that pushed them below the axis.
void spread(std::vector<End>& ends, double height) {
  std::stable_sort(ends.begin(), ends.end(), [](const End& a, const End& b) { return a.y < b.y; });
  double free = kTop - 10;
  for (End& end : ends) {
    end.label_y = std::max(end.y, free);
    free = end.label_y + height;
  }
  double floor = kHeight - height;
  for (auto end = ends.rbegin(); end != ends.rend(); ++end) {
    end->label_y = std::min(end->label_y, floor);
    floor = end->label_y - height;
  }
}

std::vector<End> line_ends(const std::vector<ReportSeries>& series) {
  std::vector<End> ends;
  for (size_t s = 0; s < series.size(); ++s) {
    const ReportSeries& line = series[s];
    for (size_t i = line.x.size(); i-- > 0;) {
      if (!drawable(line.x[i]) || !drawable(line.y[i])) continue;
      ends.push_back({s, line.x[i], line.y[i], 0, shortened(clean_utf8(line.name)), brief(line.y[i])});
      break;
    }
  }
  return ends;
}

void draw_lines(HtmlWriter& svg, const std::vector<ReportSeries>& series, std::vector<End> ends, const Axis& x,
                const Axis& y) {
  for (End& end : ends) {
    end.x = x.at(end.x);
    end.y = y.at(end.y);
  }
  const bool two_lines = ends.size() <= kLabelsOfTwoLines;
  spread(ends, two_lines ? 2 * kLine + 2 : kLine);
  const std::string label_x = px(x.to + 9);
  for (const End& end : ends) {
    const auto group = svg.open("g", {{"class", kColors[end.series % std::size(kColors)]}});
    svg.element("path", {{"class", "line"}, {"d", path_of(series[end.series], x, y)}}, "");
    svg.element("circle", {{"class", "dot"}, {"cx", px(end.x)}, {"cy", px(end.y)}, {"r", "3"}}, "");
    const auto label = svg.open("text", {{"class", "end"}, {"x", label_x}, {"y", px(end.label_y)}, {"dy", "0.35em"}});
    svg.text(end.name);
    if (two_lines) svg.element("tspan", {{"class", "value"}, {"x", label_x}, {"dy", px(kLine)}}, end.value);
  }
}

/// What a person who does not see the chart should know: where each line starts and ends.
std::string summary(const ReportChart& chart, const std::vector<ReportSeries>& series) {
  std::string text = "Line chart. " + chart.title + " by " + chart.x_label + ".";
  for (const ReportSeries& line : series) {
    size_t first = line.x.size();
    size_t last = 0;
    for (size_t i = 0; i < line.x.size(); ++i) {
      if (!drawable(line.x[i]) || !drawable(line.y[i])) continue;
      first = std::min(first, i);
      last = i;
    }
    if (first == line.x.size()) continue;
    text += " " + line.name + ": from " + brief(line.y[first]) + " at " + fixed(line.x[first], 0) + " to " +
            brief(line.y[last]) + " at " + fixed(line.x[last], 0) + ".";
  }
  return text;
}

}  // namespace

ReportSeries thinned(const ReportSeries& series, size_t points) {
  const size_t size = std::min(series.x.size(), series.y.size());
  const size_t stride = std::max<size_t>(1, (size + points - 1) / points);
  ReportSeries thin{.name = series.name, .x = {}, .y = {}};
  for (size_t begin = 0; begin < size; begin += stride) {
    double x = 0;
    double y = 0;
    double count = 0;
    for (size_t i = begin; i < std::min(begin + stride, size); ++i) {
      if (!drawable(series.x[i]) || !drawable(series.y[i])) continue;
      x += series.x[i];
      y += series.y[i];
      ++count;
    }
    thin.x.push_back(count > 0 ? x / count : kNotMeasured);
    thin.y.push_back(count > 0 ? y / count : kNotMeasured);
  }
  return thin;
}

std::string render_chart(const ReportChart& chart) {
  std::vector<ReportSeries> series;
  for (const ReportSeries& line : chart.series) series.push_back(thinned(line, kPoints));
  const std::vector<End> ends = line_ends(series);
  if (ends.empty()) return {};
  size_t longest = 0;
  for (const End& end : ends) longest = std::max({longest, code_points(end.name), code_points(end.value)});

  const Axis x = x_axis(series, kLeft, kWidth - 14 - kGlyph * static_cast<double>(longest));
  const Axis y = y_axis(series, kHeight - kBottom, kTop);
  HtmlWriter svg;
  {
    const auto root = svg.open("svg", {{"class", "plot"},
                                       {"viewBox", "0 0 " + px(kWidth) + " " + px(kHeight)},
                                       {"role", "img"},
                                       {"aria-label", summary(chart, series)}});
    draw_axes(svg, x, y, chart);
    draw_lines(svg, series, ends, x, y);
  }
  return svg.take();
}

}  // namespace capture
