// What can be counted in a photo without having learned anything: colours, edges and texture, summed over a grid of
// cells once, so that any region is a weighted sum of cells.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "capture/vision/image.h"
#include "capture/vision/proposals.h"

namespace capture {

/// What is measured. The channels of a group stand together in a cell.
enum class Statistic {
  colour,          ///< histogram of lightness, chroma and hue, greys apart
  mean_colour,     ///< sums of L, 2 a and 2 b, all over 100
  edges,           ///< histogram of edge direction, weighted by strength, fine scale
  coarse_edges,    ///< the same at a coarse scale
  texture,         ///< histogram of uniform local binary patterns, radius 1
  coarse_texture,  ///< the same at radius 3, after smoothing
  edge_colour,     ///< histogram of hue weighted by edge strength: the colours of print
  edge_strength,   ///< histogram of the edges' strength
  bands,           ///< sums of |difference of Gaussians|, four scales of L, a and b
  colour_pairs,    ///< how often two colours stand a few pixels apart
};
inline constexpr size_t kStatistics = 10;

/// Channels of each group.
inline constexpr std::array<int, kStatistics> kStatisticWidths = {200, 3, 8, 8, 59, 59, 16, 6, 12, 78};

class CellStatistics {
 public:
  static constexpr int kCells = 12;       ///< cells a side
  static constexpr int kCellPixels = 12;  ///< pixels a side of a cell
  static constexpr int kSide = kCells * kCellPixels;

  /// Measures the photo, squeezed to kSide × kSide pixels.
  explicit CellStatistics(const Image& image);

  /// Adds up one group over `box`, given in cells (0 to kCells), a cell that is partly covered counting in part. `sums`
  /// has the group's width. Returns the pixels covered.
  float pool(Statistic group, const Box& box, std::span<float> sums) const;

 private:
  std::vector<float> cells_;  // [kCells × kCells × all channels]
};

}  // namespace capture
