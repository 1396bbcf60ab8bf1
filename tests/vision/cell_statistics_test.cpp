// The statistics against plain counting, pixel by pixel, on random pictures.
#include "../../src/vision/cell_statistics.h"

#include <gtest/gtest.h>

#include <numeric>
#include <opencv2/imgproc.hpp>

#include "pictures.h"

namespace capture {
namespace {

constexpr int kSide = CellStatistics::kSide;
constexpr auto kCells = static_cast<float>(CellStatistics::kCells);
constexpr Box kWhole = {0, 0, kCells, kCells};

struct Pooled {
  std::vector<float> sums;
  float pixels;
};

Pooled pool(const CellStatistics& statistics, Statistic group, const Box& box = kWhole) {
  Pooled pooled;
  pooled.sums.resize(static_cast<size_t>(kStatisticWidths[static_cast<size_t>(group)]));
  pooled.pixels = statistics.pool(group, box, pooled.sums);
  return pooled;
}

float total(const Pooled& pooled) {
  return std::accumulate(pooled.sums.begin(), pooled.sums.end(), 0.0F);
}

cv::Mat grey_of(const Image& image) {
  cv::Mat grey;
  cv::cvtColor(cv::Mat(image.height, image.width, CV_8UC3, const_cast<uint8_t*>(image.bgr.data())), grey,
               cv::COLOR_BGR2GRAY);
  return grey;
}

TEST(CellStatistics, PoolsPartsOfCellsInProportion) {
  const CellStatistics statistics(noise(200, 150));
  const Box box = {1.25F, 0.5F, 7.0F, 10.75F};
  for (size_t group = 0; group < kStatistics; ++group) {
    const auto which = static_cast<Statistic>(group);
    std::vector<double> expected(static_cast<size_t>(kStatisticWidths[group]));
    double pixels = 0;
    for (int row = 0; row < CellStatistics::kCells; ++row) {
      for (int column = 0; column < CellStatistics::kCells; ++column) {
        const auto x = static_cast<float>(column);
        const auto y = static_cast<float>(row);
        const double width = std::max(0.0F, std::min(box.x2, x + 1) - std::max(box.x1, x));
        const double height = std::max(0.0F, std::min(box.y2, y + 1) - std::max(box.y1, y));
        const Pooled cell = pool(statistics, which, {x, y, x + 1, y + 1});
        for (size_t i = 0; i < expected.size(); ++i) expected[i] += width * height * cell.sums[i];
        pixels += width * height * cell.pixels;
      }
    }
    const Pooled pooled = pool(statistics, which, box);
    EXPECT_NEAR(pooled.pixels, pixels, 1e-2);
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(pooled.sums[i], expected[i], 1e-2) << group << " " << i;
  }
}

TEST(CellStatistics, CountsEveryPixelOnceInEachHistogram) {
  for (const uint64_t seed : {1, 2, 3}) {
    const CellStatistics statistics(noise(kSide, kSide, seed));
    for (const Box& box : {kWhole, Box{2, 3, 5, 4}, Box{0.5F, 0.5F, 1.25F, 9}}) {
      for (const Statistic group :
           {Statistic::colour, Statistic::texture, Statistic::coarse_texture, Statistic::edge_strength}) {
        const Pooled pooled = pool(statistics, group, box);
        EXPECT_NEAR(total(pooled) / pooled.pixels, 1, 1e-3);
      }
    }
  }
}

TEST(CellStatistics, MeansAreThoseOfThePixels) {
  const Image image = noise(kSide, kSide);
  cv::Mat pixels;
  cv::Mat(kSide, kSide, CV_8UC3, const_cast<uint8_t*>(image.bgr.data())).convertTo(pixels, CV_32F, 1.0 / 255);
  cv::Mat lab;
  cv::cvtColor(pixels, lab, cv::COLOR_BGR2Lab);
  const cv::Scalar mean = cv::mean(lab(cv::Rect(24, 36, 48, 60)));
  const Pooled pooled = pool(CellStatistics(image), Statistic::mean_colour, {2, 3, 6, 8});
  EXPECT_NEAR(pooled.sums[0] / pooled.pixels, mean[0] / 100, 1e-4);
  EXPECT_NEAR(pooled.sums[1] / pooled.pixels, mean[1] / 50, 1e-4);
  EXPECT_NEAR(pooled.sums[2] / pooled.pixels, mean[2] / 50, 1e-4);
}

/// Uniform local binary patterns by their definition.
std::vector<float> plain_texture(const cv::Mat& grey, int radius) {
  const auto transitions = [](unsigned pattern) {
    int count = 0;
    for (int bit = 0; bit < 8; ++bit) count += (pattern >> bit & 1) != (pattern >> (bit + 1) % 8 & 1) ? 1 : 0;
    return count;
  };
  const auto bin_of = [&](unsigned pattern) {
    if (transitions(pattern) > 2) return size_t{58};
    size_t bin = 0;
    for (unsigned smaller = 0; smaller < pattern; ++smaller) bin += transitions(smaller) <= 2 ? 1 : 0;
    return bin;
  };
  const auto at = [&](int y, int x) {
    return int{grey.at<uint8_t>(std::clamp(y, 0, grey.rows - 1), std::clamp(x, 0, grey.cols - 1))};
  };
  std::vector<float> bins(59);
  for (int y = 0; y < grey.rows; ++y) {
    for (int x = 0; x < grey.cols; ++x) {
      const int r = radius;
      const std::array<int, 8> around = {at(y - r, x - r), at(y - r, x), at(y - r, x + r), at(y, x + r),
                                         at(y + r, x + r), at(y + r, x), at(y + r, x - r), at(y, x - r)};
      unsigned pattern = 0;
      for (size_t i = 0; i < 8; ++i) pattern |= static_cast<unsigned>(around[i] > at(y, x) + 2) << i;
      bins[bin_of(pattern)] += 1;
    }
  }
  return bins;
}

TEST(CellStatistics, TextureIsThatOfTheDefinition) {
  const Image image = noise(kSide, kSide, 5);
  EXPECT_EQ(pool(CellStatistics(image), Statistic::texture).sums, plain_texture(grey_of(image), 1));
  cv::Mat smooth;
  cv::GaussianBlur(grey_of(image), smooth, {0, 0}, 1.5);
  EXPECT_EQ(pool(CellStatistics(image), Statistic::coarse_texture).sums, plain_texture(smooth, 3));
}

TEST(CellStatistics, TextureIgnoresBrightness) {
  Image image = noise(kSide, kSide);
  for (auto& value : image.bgr) value = static_cast<uint8_t>(value / 2);
  Image brighter = image;
  for (auto& value : brighter.bgr) value = static_cast<uint8_t>(value + 40);
  EXPECT_EQ(pool(CellStatistics(image), Statistic::texture).sums,
            pool(CellStatistics(brighter), Statistic::texture).sums);
}

TEST(CellStatistics, GreyPicturesHaveNoHue) {
  const Pooled colour = pool(CellStatistics(blank(50, 50, {120, 120, 120})), Statistic::colour);
  const float hues = std::accumulate(colour.sums.begin(), colour.sums.begin() + 192, 0.0F);
  EXPECT_NEAR(hues / colour.pixels, 0, 1e-3);
}

TEST(CellStatistics, HueTellsRedFromGreenAtEveryBrightness) {
  const auto hue_of = [](const Bgr& colour) {
    const Pooled pooled = pool(CellStatistics(blank(50, 50, colour)), Statistic::colour);
    size_t best = 0;
    float most = 0;
    for (size_t hue = 0; hue < 16; ++hue) {
      const auto first = pooled.sums.begin() + static_cast<ptrdiff_t>(hue * 12);
      const float sum = std::accumulate(first, first + 12, 0.0F);
      if (sum > most) best = hue;
      most = std::max(most, sum);
    }
    return best;
  };
  EXPECT_EQ(hue_of({20, 20, 220}), hue_of({10, 10, 110}));
  EXPECT_NE(hue_of({20, 20, 220}), hue_of({20, 220, 20}));
}

TEST(CellStatistics, EdgeDirectionsTellStripesApart) {
  Image lying = blank(kSide, kSide);
  Image standing = blank(kSide, kSide);
  for (int i = 0; i < kSide; i += 16) {
    paint(lying, 0, i, kSide, i + 8, {0, 0, 0});
    paint(standing, i, 0, i + 8, kSide, {0, 0, 0});
  }
  for (const Statistic group : {Statistic::edges, Statistic::coarse_edges}) {
    const Pooled across = pool(CellStatistics(standing), group);
    const Pooled down = pool(CellStatistics(lying), group);
    // Direction 0 lies between the first bin and the last, a quarter turn in the middle.
    EXPECT_GT(across.sums[0] + across.sums[7], 0.9F * total(across));
    EXPECT_GT(down.sums[3] + down.sums[4], 0.9F * total(down));
  }
}

TEST(CellStatistics, ColourPairsCountNeighboursOfTwoColours) {
  Image halves = blank(kSide, kSide, {0, 0, 0});
  paint(halves, kSide / 2, 0, kSide, kSide, kWhite);
  const Pooled pairs = pool(CellStatistics(halves), Statistic::colour_pairs);
  // Black is colour 8 and white 11 of 12; rows of the triangle before row 8 hold 12 + 11 + ... + 5 pairs.
  const size_t row = 12 + 11 + 10 + 9 + 8 + 7 + 6 + 5;
  EXPECT_EQ(pairs.sums[row + 3], 6 * kSide);
  EXPECT_EQ(total(pairs), 2 * kSide * (kSide - 6));
  EXPECT_EQ(pairs.sums[row] + pairs.sums.back() + pairs.sums[row + 3], total(pairs));
}

}  // namespace
}  // namespace capture
