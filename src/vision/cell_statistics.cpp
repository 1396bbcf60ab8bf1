// Each pixel is measured once and adds to its cell; soft bins (a value counts towards its two nearest bins) keep a
// small change of light from moving whole histograms.
#include "cell_statistics.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "matrix.h"

namespace capture {

namespace {

constexpr int kSide = CellStatistics::kSide;
constexpr int kCells = CellStatistics::kCells;
constexpr int kCellPixels = CellStatistics::kCellPixels;

constexpr int kHues = 16;
constexpr int kChromas = 3;
constexpr int kLights = 4;
constexpr int kGreys = 8;
constexpr int kDirections = 8;
constexpr int kStrengths = 6;
constexpr int kPatterns = 59;
constexpr int kPairColours = 12;

/// Chroma (in Lab) from which a pixel counts as fully coloured.
constexpr float kColoured = 14;

constexpr int first_channel(Statistic group) {
  int first = 0;
  for (size_t i = 0; i < static_cast<size_t>(group); ++i) first += kStatisticWidths[i];
  return first;
}
constexpr int width_of(Statistic group) {
  return kStatisticWidths[static_cast<size_t>(group)];
}
constexpr int kChannels = first_channel(static_cast<Statistic>(kStatistics));

/// The two bins that share a value.
struct Bins {
  int first;
  int second;
  float first_share;
  float second_share;
};

/// `position` in bins: 0.5 is the middle of the first. Beyond the ends the outermost bin takes all.
Bins soft_bins(float position, int count) {
  const float t = std::clamp(position - 0.5F, 0.0F, static_cast<float>(count - 1));
  const int first = std::min(static_cast<int>(t), count - 2);
  const float share = t - static_cast<float>(first);
  return {first, first + 1, 1 - share, share};
}

/// The same around a circle.
Bins soft_bins_around(float position, int count) {
  const float t = position - 0.5F;
  const float floor = std::floor(t);
  const int first = (static_cast<int>(floor) + count) % count;
  const float share = t - floor;
  return {first, (first + 1) % count, 1 - share, share};
}

/// The photo squeezed onto the grid, in the forms that the measurements want.
struct Canvas {
  cv::Mat bgr;     // 32FC3, 0 to 1
  cv::Mat lab;     // 32FC3: L 0 to 100, a, b
  cv::Mat grey;    // 8U
  cv::Mat chroma;  // 32F
  cv::Mat hue;     // 32F, 0 to 1
};

Canvas make_canvas(const Image& image) {
  Canvas canvas;
  cv::Mat small;
  cv::resize(as_matrix(image), small, {kSide, kSide}, 0, 0, cv::INTER_AREA);
  cv::cvtColor(small, canvas.grey, cv::COLOR_BGR2GRAY);
  small.convertTo(canvas.bgr, CV_32F, 1.0 / 255);
  cv::cvtColor(canvas.bgr, canvas.lab, cv::COLOR_BGR2Lab);
  canvas.chroma.create(kSide, kSide, CV_32F);
  canvas.hue.create(kSide, kSide, CV_32F);
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      const auto& lab = canvas.lab.at<cv::Vec3f>(y, x);
      canvas.chroma.at<float>(y, x) = std::hypot(lab[1], lab[2]);
      const float turns = std::atan2(lab[2], lab[1]) / (2 * std::numbers::pi_v<float>);
      canvas.hue.at<float>(y, x) = turns < 0 ? turns + 1 : turns;
    }
  }
  return canvas;
}

cv::Mat smoothed(const cv::Mat& image, double sigma) {
  cv::Mat out;
  cv::GaussianBlur(image, out, {0, 0}, sigma);
  return out;
}

/// Where a group's sums of the cell of each pixel live.
class Sums {
 public:
  Sums(std::vector<float>& cells, Statistic group) : base_(cells.data() + first_channel(group)) {}
  float* at(int y, int x) const { return base_ + (y / kCellPixels * kCells + x / kCellPixels) * kChannels; }

 private:
  float* base_;
};

template <class Measure>
void each_pixel(const Measure& measure) {
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) measure(y, x);
  }
}

void measure_colour(const Canvas& canvas, std::vector<float>& cells) {
  const Sums colour(cells, Statistic::colour);
  const Sums means(cells, Statistic::mean_colour);
  each_pixel([&](int y, int x) {
    const auto& lab = canvas.lab.at<cv::Vec3f>(y, x);
    const float chroma = canvas.chroma.at<float>(y, x);
    const float coloured = std::min(chroma / kColoured, 1.0F);
    float* const sums = colour.at(y, x);

    const Bins hue = soft_bins_around(canvas.hue.at<float>(y, x) * kHues, kHues);
    // The square root spreads the many pale colours; what is below a quarter is grey and counted below.
    const Bins strength = soft_bins((std::sqrt(std::min(chroma, 100.0F) / 100) - 0.25F) / 0.75F * kChromas, kChromas);
    const Bins light = soft_bins(lab[0] / 100 * kLights, kLights);
    const auto add = [&](int h, float hue_share, int c, float chroma_share) {
      float* const bin = sums + (h * kChromas + c) * kLights;
      const float weight = coloured * hue_share * chroma_share;
      bin[light.first] += weight * light.first_share;
      bin[light.second] += weight * light.second_share;
    };
    add(hue.first, hue.first_share, strength.first, strength.first_share);
    add(hue.first, hue.first_share, strength.second, strength.second_share);
    add(hue.second, hue.second_share, strength.first, strength.first_share);
    add(hue.second, hue.second_share, strength.second, strength.second_share);

    const Bins grey = soft_bins(lab[0] / 100 * kGreys, kGreys);
    float* const greys = sums + kHues * kChromas * kLights;
    greys[grey.first] += (1 - coloured) * grey.first_share;
    greys[grey.second] += (1 - coloured) * grey.second_share;

    float* const mean = means.at(y, x);
    mean[0] += lab[0] / 100;
    mean[1] += lab[1] / 50;
    mean[2] += lab[2] / 50;
  });
}

/// Direction (0 to 1, half a turn) and strength of the edge in the colour channel where it is strongest.
struct Edges {
  cv::Mat direction;  // 32F
  cv::Mat strength;   // 32F
};

Edges find_edges(const cv::Mat& bgr, double sigma) {
  const cv::Mat smooth = smoothed(bgr, sigma);
  cv::Mat right;
  cv::Mat down;
  cv::Scharr(smooth, right, CV_32F, 1, 0, 1.0 / 16);
  cv::Scharr(smooth, down, CV_32F, 0, 1, 1.0 / 16);
  Edges edges{cv::Mat(kSide, kSide, CV_32F), cv::Mat(kSide, kSide, CV_32F)};
  each_pixel([&](int y, int x) {
    const auto& gx = right.at<cv::Vec3f>(y, x);
    const auto& gy = down.at<cv::Vec3f>(y, x);
    int best = 0;
    float most = -1;
    for (int c = 0; c < 3; ++c) {
      const float square = gx[c] * gx[c] + gy[c] * gy[c];
      if (square > most) {
        most = square;
        best = c;
      }
    }
    const float half_turns = std::atan2(gy[best], gx[best]) / std::numbers::pi_v<float>;
    edges.direction.at<float>(y, x) = half_turns - std::floor(half_turns);
    edges.strength.at<float>(y, x) = std::sqrt(most);
  });
  return edges;
}

void measure_directions(const Edges& edges, Statistic group, std::vector<float>& cells) {
  const Sums sums(cells, group);
  each_pixel([&](int y, int x) {
    const Bins bins = soft_bins_around(edges.direction.at<float>(y, x) * kDirections, kDirections);
    const float strength = edges.strength.at<float>(y, x);
    sums.at(y, x)[bins.first] += strength * bins.first_share;
    sums.at(y, x)[bins.second] += strength * bins.second_share;
  });
}

void measure_edges(const Canvas& canvas, std::vector<float>& cells) {
  const Edges fine = find_edges(canvas.bgr, 0.8);
  measure_directions(fine, Statistic::edges, cells);
  measure_directions(find_edges(canvas.bgr, 3), Statistic::coarse_edges, cells);

  const Sums colours(cells, Statistic::edge_colour);
  const Sums strengths(cells, Statistic::edge_strength);
  constexpr float kWeakest = 0.004F;
  constexpr float kStrongest = 0.5F;
  const float octaves = std::log(kStrongest / kWeakest);
  each_pixel([&](int y, int x) {
    const float strength = fine.strength.at<float>(y, x);
    const float coloured = std::min(canvas.chroma.at<float>(y, x) / kColoured, 1.0F);
    const Bins hue = soft_bins_around(canvas.hue.at<float>(y, x) * kHues, kHues);
    colours.at(y, x)[hue.first] += strength * coloured * hue.first_share;
    colours.at(y, x)[hue.second] += strength * coloured * hue.second_share;
    const Bins level = soft_bins(std::log((strength + kWeakest) / kWeakest) / octaves * kStrengths, kStrengths);
    strengths.at(y, x)[level.first] += level.first_share;
    strengths.at(y, x)[level.second] += level.second_share;
  });
}

/// The bin of each 8-bit pattern: patterns with at most two changes around the circle (uniform ones: edges, corners,
/// spots) each have their own, all others share the last. Ojala et al., "Multiresolution Gray-Scale and Rotation
/// Invariant Texture Classification with Local Binary Patterns", PAMI 2002.
constexpr std::array<uint8_t, 256> uniform_patterns() {
  std::array<uint8_t, 256> bins{};
  uint8_t next = 0;
  for (unsigned pattern = 0; pattern < 256; ++pattern) {
    const auto code = static_cast<uint8_t>(pattern);
    const bool uniform = std::popcount(static_cast<uint8_t>(code ^ std::rotl(code, 1))) <= 2;
    bins[pattern] = uniform ? next++ : static_cast<uint8_t>(kPatterns - 1);
  }
  return bins;
}

void measure_texture(const cv::Mat& grey, int radius, Statistic group, std::vector<float>& cells) {
  static constexpr std::array<uint8_t, 256> kBins = uniform_patterns();
  static constexpr std::array<std::array<int, 2>, 8> kAround = {
      {{-1, -1}, {-1, 0}, {-1, 1}, {0, 1}, {1, 1}, {1, 0}, {1, -1}, {0, -1}}};
  // A neighbour must be brighter by more than sensor noise.
  constexpr int kMargin = 2;
  cv::Mat padded;
  cv::copyMakeBorder(grey, padded, radius, radius, radius, radius, cv::BORDER_REPLICATE);
  const Sums sums(cells, group);
  each_pixel([&](int y, int x) {
    const int centre = padded.at<uint8_t>(y + radius, x + radius) + kMargin;
    unsigned pattern = 0;
    for (size_t i = 0; i < kAround.size(); ++i) {
      const int neighbour =
          padded.at<uint8_t>(y + radius + radius * kAround[i][0], x + radius + radius * kAround[i][1]);
      pattern |= static_cast<unsigned>(neighbour > centre) << i;
    }
    sums.at(y, x)[kBins[pattern]] += 1;
  });
}

void measure_bands(const Canvas& canvas, std::vector<float>& cells) {
  const Sums sums(cells, Statistic::bands);
  cv::Mat finer = canvas.lab / 100;
  int band = 0;
  for (const double sigma : {1.0, 2.0, 4.0, 8.0}) {
    const cv::Mat coarser = smoothed(canvas.lab / 100, sigma);
    each_pixel([&](int y, int x) {
      const auto& a = finer.at<cv::Vec3f>(y, x);
      const auto& b = coarser.at<cv::Vec3f>(y, x);
      for (int c = 0; c < 3; ++c) sums.at(y, x)[c * 4 + band] += std::abs(a[c] - b[c]);
    });
    finer = coarser;
    ++band;
  }
}

/// One of twelve colours: eight hues, or four greys.
int plain_colour(const Canvas& canvas, int y, int x) {
  constexpr int kPairHues = 8;
  if (canvas.chroma.at<float>(y, x) < kColoured) {
    return kPairHues + std::clamp(static_cast<int>(canvas.lab.at<cv::Vec3f>(y, x)[0] / 25), 0, 3);
  }
  return static_cast<int>(canvas.hue.at<float>(y, x) * kPairHues) % kPairHues;
}

void measure_colour_pairs(const Canvas& canvas, std::vector<float>& cells) {
  constexpr int kApart = 6;
  cv::Mat colours(kSide, kSide, CV_8U);
  each_pixel([&](int y, int x) { colours.at<uint8_t>(y, x) = static_cast<uint8_t>(plain_colour(canvas, y, x)); });
  const Sums sums(cells, Statistic::colour_pairs);
  each_pixel([&](int y, int x) {
    const int here = colours.at<uint8_t>(y, x);
    for (const auto& [down, right] : {std::pair(0, kApart), std::pair(kApart, 0)}) {
      if (y + down >= kSide || x + right >= kSide) continue;
      const int there = colours.at<uint8_t>(y + down, x + right);
      const int low = std::min(here, there);
      // Row `low` of the upper triangle.
      sums.at(y, x)[low * kPairColours - low * (low - 1) / 2 + std::max(here, there) - low] += 1;
    }
  });
}

}  // namespace

CellStatistics::CellStatistics(const Image& image) : cells_(size_t{kCells} * kCells * kChannels) {
  const Canvas canvas = make_canvas(image);
  measure_colour(canvas, cells_);
  measure_edges(canvas, cells_);
  measure_texture(canvas.grey, 1, Statistic::texture, cells_);
  measure_texture(smoothed(canvas.grey, 1.5), 3, Statistic::coarse_texture, cells_);
  measure_bands(canvas, cells_);
  measure_colour_pairs(canvas, cells_);
}

float CellStatistics::pool(Statistic group, const Box& box, std::span<float> sums) const {
  std::ranges::fill(sums, 0.0F);
  const auto width = static_cast<size_t>(width_of(group));
  const auto covered = [](int cell, float from, float to) {
    return std::max(0.0F, std::min(to, static_cast<float>(cell + 1)) - std::max(from, static_cast<float>(cell)));
  };
  float cells = 0;
  for (int row = static_cast<int>(box.y1); row < kCells && static_cast<float>(row) < box.y2; ++row) {
    for (int column = static_cast<int>(box.x1); column < kCells && static_cast<float>(column) < box.x2; ++column) {
      const float share = covered(row, box.y1, box.y2) * covered(column, box.x1, box.x2);
      const float* cell = cells_.data() + (row * kCells + column) * kChannels + first_channel(group);
      for (size_t i = 0; i < width; ++i) sums[i] += share * cell[i];
      cells += share;
    }
  }
  return cells * kCellPixels * kCellPixels;
}

}  // namespace capture
