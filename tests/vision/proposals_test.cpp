// Boxes stay inside the photo, come in the right number and always in the same order.
#include "capture/vision/proposals.h"

#include <gtest/gtest.h>

#include "capture/base/config.h"
#include "pictures.h"

namespace capture {
namespace {

using ::testing::HasSubstr;

void expect_inside(const std::vector<Box>& boxes, const Image& image) {
  for (const Box& box : boxes) {
    EXPECT_GE(box.x1, 0);
    EXPECT_GE(box.y1, 0);
    EXPECT_LT(box.x1, box.x2);
    EXPECT_LT(box.y1, box.y2);
    EXPECT_LE(box.x2, image.width);
    EXPECT_LE(box.y2, image.height);
  }
}

std::string refusal_of(const std::string& json) {
  ProposalOptions options;
  try {
    read_options(parse_json(json, "test"), options);
  } catch (const UserError& error) {
    return error.what();
  }
  return {};
}

TEST(Grid, LaysItsWindowsLevelByLevelAndRowByRow) {
  const std::vector<Box> boxes = propose_regions(card(120, 240), {});
  ASSERT_EQ(boxes.size(), 30U);
  EXPECT_EQ(boxes[0], (Box{0, 0, 120, 240}));
  EXPECT_EQ(boxes[1], (Box{0, 0, 90, 180}));
  EXPECT_EQ(boxes[2], (Box{30, 0, 120, 180}));
  EXPECT_EQ(boxes[3], (Box{0, 60, 90, 240}));
  EXPECT_EQ(boxes[5], (Box{0, 0, 60, 120}));
  EXPECT_EQ(boxes[14], (Box{0, 0, 30, 60}));
  EXPECT_EQ(boxes[29], (Box{90, 180, 120, 240}));
}

TEST(Grid, StaysInsidePhotosOfEveryShape) {
  for (const auto& [width, height] : {std::pair(1, 1), {1, 1000}, {1000, 1}, {2, 3}, {17, 5}, {255, 254}}) {
    const Image image = card(width, height);
    const std::vector<Box> boxes = propose_regions(image, {});
    EXPECT_EQ(boxes.size(), 30U);
    expect_inside(boxes, image);
  }
}

TEST(Grid, PutsASingleSmallWindowInTheMiddle) {
  ProposalOptions options;
  options.grid.levels = {{1, 0.5}};
  EXPECT_EQ(propose_regions(card(100, 40), options), (std::vector<Box>{{25, 10, 75, 30}}));
}

TEST(Grid, RefusesMoreWindowsThanRegions) {
  EXPECT_EQ(refusal_of(R"({"max_regions": 30})"), "");
  EXPECT_THAT(refusal_of(R"({"max_regions": 29})"), HasSubstr("give 30 windows, max_regions is 29"));
  EXPECT_THAT(refusal_of(R"({"grid": {"levels": []}})"), HasSubstr("give 0 windows"));
  EXPECT_THAT(refusal_of(R"({"grid": {"levels": [{"windows": 0}]}})"), HasSubstr("windows"));
}

ProposalOptions searching() {
  ProposalOptions options;
  options.kind = ProposalKind::selective_search;
  return options;
}

TEST(SelectiveSearch, FindsTheObjectsOfASimplePicture) {
  Image image = blank(160, 120);
  paint(image, 20, 30, 70, 90, kRed);
  paint(image, 100, 20, 140, 60, kBlue);
  const std::vector<Box> boxes = propose_regions(image, searching());
  EXPECT_EQ(boxes[0], (Box{0, 0, 160, 120}));
  for (const Box& object : {Box{20, 30, 70, 90}, Box{100, 20, 140, 60}}) {
    double best = 0;
    for (const Box& box : boxes) best = std::max(best, overlap_ratio(box, object));
    EXPECT_GT(best, 0.8);
  }
}

TEST(SelectiveSearch, KeepsToItsLimits) {
  ProposalOptions options = searching();
  options.max_regions = 7;
  const Image image = noise(300, 200);
  const std::vector<Box> boxes = propose_regions(image, options);
  EXPECT_LE(boxes.size(), 7U);
  EXPECT_GT(boxes.size(), 1U);
  expect_inside(boxes, image);
  for (size_t i = 1; i < boxes.size(); ++i) {
    // A side of the search's copy may be rounded by a pixel.
    EXPECT_GE(std::min(boxes[i].x2 - boxes[i].x1, boxes[i].y2 - boxes[i].y1), 0.09F * 300);
    for (size_t j = 0; j < i; ++j) EXPECT_LE(overlap_ratio(boxes[i], boxes[j]), 0.7);
  }
}

TEST(SelectiveSearch, GivesTheSameBoxesInTheSameOrder) {
  const Image image = noise(120, 90);
  const std::vector<Box> first = propose_regions(image, searching());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(propose_regions(image, searching()), first);
}

TEST(SelectiveSearch, TakesPhotosTooSmallToSearch) {
  for (const auto& [width, height] : {std::pair(1, 1), {1, 1000}, {1000, 1}, {7, 7}, {8, 8}}) {
    const Image image = card(width, height);
    const std::vector<Box> boxes = propose_regions(image, searching());
    ASSERT_GE(boxes.size(), 1U);
    expect_inside(boxes, image);
  }
  ProposalOptions options = searching();
  options.selective_search.whole_image = false;
  EXPECT_EQ(propose_regions(blank(5, 4), options), (std::vector<Box>{{0, 0, 5, 4}}));
}

TEST(OverlapRatio, IsSharedOverUnited) {
  const Box box = {0, 0, 10, 10};
  EXPECT_DOUBLE_EQ(overlap_ratio(box, box), 1);
  EXPECT_DOUBLE_EQ(overlap_ratio(box, {5, 0, 15, 10}), 1.0 / 3);
  EXPECT_DOUBLE_EQ(overlap_ratio(box, {10, 0, 20, 10}), 0);
}

}  // namespace
}  // namespace capture
