// The grid, selective search, and the thinning-out of boxes that say the same.
#include "capture/vision/proposals.h"

#include <algorithm>
#include <opencv2/core.hpp>
#include <opencv2/ximgproc/segmentation.hpp>
#include <string>
#include <tuple>
#include <utility>

#include "capture/tensor/random.h"
#include "matrix.h"

namespace capture {

namespace {

/// Window `index` of a level along a side of `length` pixels. No window is narrower than a pixel, so that a tiny photo
/// gets repeated windows rather than empty ones.
std::pair<float, float> window(int64_t index, const GridLevel& level, int length) {
  const double width = std::clamp(length * level.size, 1.0, static_cast<double>(length));
  const double share = level.windows == 1 ? 0.5 : static_cast<double>(index) / static_cast<double>(level.windows - 1);
  const double start = (length - width) * share;
  return {static_cast<float>(start), static_cast<float>(std::min<double>(start + width, length))};
}

std::vector<Box> grid(const Image& image, const GridOptions& options) {
  std::vector<Box> boxes;
  for (const GridLevel& level : options.levels) {
    for (int64_t row = 0; row < level.windows; ++row) {
      const auto [top, bottom] = window(row, level, image.height);
      for (int64_t column = 0; column < level.windows; ++column) {
        const auto [left, right] = window(column, level, image.width);
        boxes.push_back({left, top, right, bottom});
      }
    }
  }
  return boxes;
}

/// The segments of OpenCV's selective search, large ones mostly first. The paper ranks a segment by its level in the
/// hierarchy times a random number, so that the first few already come in all sizes; OpenCV draws that number from
/// rand(), which threads share. Here it comes from the segment's own coordinates: same photo, same order.
std::vector<cv::Rect> search(const cv::Mat& image) {
  const auto segmentation = cv::ximgproc::segmentation::createSelectiveSearchSegmentation();
  segmentation->setBaseImage(image);
  segmentation->switchToSelectiveSearchFast();
  std::vector<cv::Rect> found;
  segmentation->process(found);

  const auto place = [](const cv::Rect& r) { return std::tuple(-r.area(), r.x, r.y, r.width); };
  std::ranges::sort(found, {}, place);
  std::vector<std::pair<float, cv::Rect>> ranked;
  for (size_t i = 0; i < found.size(); ++i) {
    const cv::Rect& r = found[i];
    const auto half = [](int a, int b) { return static_cast<uint64_t>(a) << 32 | static_cast<uint32_t>(b); };
    ranked.emplace_back(RandomStream(half(r.x, r.y), 0, half(r.width, r.height)).uniform() * static_cast<float>(i), r);
  }
  std::ranges::stable_sort(ranked, {}, &std::pair<float, cv::Rect>::first);
  std::ranges::transform(ranked, found.begin(), &std::pair<float, cv::Rect>::second);
  return found;
}

std::vector<Box> selective_search(const Image& image, const ProposalOptions& options) {
  const SelectiveSearchOptions& search_options = options.selective_search;
  const Image small = shrink(image, search_options.longest_side);
  const float x_scale = static_cast<float>(image.width) / static_cast<float>(small.width);
  const float y_scale = static_cast<float>(image.height) / static_cast<float>(small.height);
  const double min_side = search_options.min_side * std::max(small.width, small.height);

  std::vector<Box> kept;
  const Box whole = {0, 0, static_cast<float>(image.width), static_cast<float>(image.height)};
  if (search_options.whole_image) kept.push_back(whole);
  // The segmentation needs a few pixels to stand on.
  constexpr int kSmallest = 8;
  if (std::min(small.width, small.height) >= kSmallest) {
    for (const cv::Rect& found : search(as_matrix(small))) {
      if (std::ssize(kept) >= options.max_regions) break;
      if (std::min(found.width, found.height) < min_side) continue;
      const Box box = {static_cast<float>(found.x) * x_scale, static_cast<float>(found.y) * y_scale,
                       std::min(static_cast<float>(found.x + found.width) * x_scale, whole.x2),
                       std::min(static_cast<float>(found.y + found.height) * y_scale, whole.y2)};
      const bool repeated = std::ranges::any_of(
          kept, [&](const Box& other) { return overlap_ratio(box, other) > search_options.max_overlap; });
      if (!repeated) kept.push_back(box);
    }
  }
  if (kept.empty()) kept.push_back(whole);
  return kept;
}

}  // namespace

double overlap_ratio(const Box& a, const Box& b) {
  const auto area = [](const Box& box) { return double{box.x2 - box.x1} * (box.y2 - box.y1); };
  const double width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  const double height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  if (width <= 0 || height <= 0) return 0;
  return width * height / (area(a) + area(b) - width * height);
}

void GridLevel::visit(FieldVisitor& f) {
  f.field("windows", windows, "n: the level lays n x n windows over the photo.", {1, 32});
  f.field("size", size, "A window's side as a share of the photo's.", {0.001, 1.0});
}

void GridOptions::visit(FieldVisitor& f) {
  f.list("levels", levels, "The scales; one window of size 1 is the whole photo.");
}

void SelectiveSearchOptions::visit(FieldVisitor& f) {
  f.field("longest_side", longest_side, "The search runs on a copy shrunk to this many pixels: its time is bounded so.",
          {16, 1024});
  f.field("max_overlap", max_overlap, "A box that shares more than this with a better one is dropped (IoU).",
          {0.0, 1.0});
  f.field("min_side", min_side, "Shortest side of a box, as a share of the photo's longest side.", {0.0, 1.0});
  f.field("whole_image", whole_image, "Whether the whole photo is the first region.");
}

void ProposalOptions::visit(FieldVisitor& f) {
  f.choice("kind", kind, "How regions are proposed.",
           {{"grid", ProposalKind::grid}, {"selective_search", ProposalKind::selective_search}});
  f.field("max_regions", max_regions, "Most regions a photo.", {1, 1024});
  f.section("grid", grid, "Overlapping windows at several scales.");
  f.section("selective_search", selective_search, "Segments merged by likeness; slower than the grid.");
}

void ProposalOptions::check(FieldChecker& c) const {
  if (kind != ProposalKind::grid) return;
  const int64_t windows = most_regions(*this);
  c.require(windows >= 1 && windows <= max_regions, "grid.levels",
            "give " + std::to_string(windows) + " windows, max_regions is " + std::to_string(max_regions),
            "levels whose squares add up to 1 to max_regions");
}

int64_t most_regions(const ProposalOptions& options) {
  if (options.kind == ProposalKind::selective_search) return options.max_regions;
  int64_t windows = 0;
  for (const GridLevel& level : options.grid.levels) windows += level.windows * level.windows;
  return windows;
}

std::vector<Box> propose_regions(const Image& image, const ProposalOptions& options) {
  return options.kind == ProposalKind::grid ? grid(image, options.grid) : selective_search(image, options);
}

}  // namespace capture
