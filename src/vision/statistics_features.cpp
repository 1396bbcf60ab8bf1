// A region's feature is a row of blocks, each one statistic in one form: a histogram of the whole region, or of each of
// its 3 x 3 parts, which keeps what stands where. Histograms enter as square roots of shares, so that their dot product
// compares them as distributions (Bhattacharyya), and a block's weight says how much it counts in that product.
#include "statistics_features.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "cell_statistics.h"

namespace capture {

namespace {

enum class Form {
  shares,        ///< square root of each bin's share of the region
  layout,        ///< the same of the 3 x 3 parts, L2-normalised together
  layout_means,  ///< means of the 3 x 3 parts
  energy,        ///< square root of the mean a pixel
};

struct Block {
  Statistic statistic;
  Form form;
  float weight;
};

constexpr std::array kBlocks = {
    Block{Statistic::colour, Form::shares, 1.0F},
    Block{Statistic::colour_pairs, Form::shares, 1.0F},
    Block{Statistic::texture, Form::shares, 0.5F},
    Block{Statistic::coarse_texture, Form::shares, 0.5F},
    Block{Statistic::edges, Form::layout, 0.5F},
    Block{Statistic::coarse_edges, Form::layout, 0.5F},
    Block{Statistic::edge_colour, Form::shares, 0.5F},
    Block{Statistic::edge_strength, Form::shares, 0.5F},
    Block{Statistic::mean_colour, Form::layout_means, 1.0F},
    Block{Statistic::bands, Form::energy, 1.0F},
};

constexpr int kParts = 3;  // a side

constexpr size_t channels(Statistic statistic) {
  return static_cast<size_t>(kStatisticWidths[static_cast<size_t>(statistic)]);
}

constexpr size_t block_width(const Block& block) {
  switch (block.form) {
    case Form::layout:
    case Form::layout_means:
      return channels(block.statistic) * kParts * kParts;
    default:
      return channels(block.statistic);
  }
}

constexpr size_t native_width() {
  size_t width = 0;
  for (const Block& block : kBlocks) width += block_width(block);
  return width;
}

/// Part `index` of the 3 x 3 parts of a box.
Box part_of(const Box& box, int index) {
  const float width = (box.x2 - box.x1) / kParts;
  const float height = (box.y2 - box.y1) / kParts;
  const float x = box.x1 + width * static_cast<float>(index % kParts);
  const float y = box.y1 + height * static_cast<float>(index / kParts);
  return {x, y, x + width, y + height};
}

void normalise(std::span<float> values, float floor) {
  float square = 0;
  for (const float value : values) square += value * value;
  const float scale = 1 / (std::sqrt(square) + floor);
  for (float& value : values) value *= scale;
}

/// Writes the block of one region; `box` in cells.
void describe(const CellStatistics& statistics, const Block& block, const Box& box, std::span<float> out) {
  const auto pool = [&](const Box& where, std::span<float> sums) {
    return statistics.pool(block.statistic, where, sums);
  };
  switch (block.form) {
    case Form::shares: {
      pool(box, out);
      float total = 1e-6F;
      for (const float value : out) total += value;
      for (float& value : out) value = std::sqrt(value / total);
      break;
    }
    case Form::layout: {
      const size_t width = channels(block.statistic);
      for (int part = 0; part < kParts * kParts; ++part) pool(part_of(box, part), out.subspan(part * width, width));
      for (float& value : out) value = std::sqrt(value);
      // The floor keeps a blank region's few stray edges from looking like a pattern.
      normalise(out, 0.5F);
      break;
    }
    case Form::layout_means: {
      const size_t width = channels(block.statistic);
      for (int part = 0; part < kParts * kParts; ++part) {
        const std::span<float> means = out.subspan(part * width, width);
        const float pixels = pool(part_of(box, part), means);
        for (float& value : means) value /= pixels * kParts;
      }
      break;
    }
    case Form::energy: {
      const float pixels = pool(box, out);
      for (float& value : out) value = std::sqrt(value / pixels);
      break;
    }
  }
  for (float& value : out) value *= block.weight;
}

class StatisticsFeatures final : public RegionFeatures {
 public:
  int64_t width() const override { return static_cast<int64_t>(native_width()); }

  std::vector<float> compute(const Image& image, std::span<const Box> boxes) const override {
    const CellStatistics statistics(image);
    const float across = static_cast<float>(CellStatistics::kCells) / static_cast<float>(image.width);
    const float down = static_cast<float>(CellStatistics::kCells) / static_cast<float>(image.height);
    std::vector<float> features(boxes.size() * native_width());
    std::span<float> rest(features);
    for (const Box& box : boxes) {
      const Box cells = {box.x1 * across, box.y1 * down, box.x2 * across, box.y2 * down};
      for (const Block& block : kBlocks) {
        describe(statistics, block, cells, rest.first(block_width(block)));
        rest = rest.subspan(block_width(block));
      }
    }
    return features;
  }
};

}  // namespace

std::unique_ptr<RegionFeatures> make_statistics_features() {
  return std::make_unique<StatisticsFeatures>();
}

}  // namespace capture
