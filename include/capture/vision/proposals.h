// Where to look in a photo: boxes that may hold a product.
#pragma once

#include <vector>

#include "capture/base/fields.h"
#include "capture/vision/image.h"

namespace capture {

/// A box in pixels, x2 and y2 exclusive: 0 <= x1 < x2 <= width, 0 <= y1 < y2 <= height.
struct Box {
  float x1 = 0;
  float y1 = 0;
  float x2 = 0;
  float y2 = 0;

  bool operator==(const Box&) const = default;
};

/// Shared area over united area, 0 to 1.
double overlap_ratio(const Box& a, const Box& b);

enum class ProposalKind { grid, selective_search };

/// windows × windows overlapping boxes, each `size` of the photo's sides, spread evenly from edge to edge.
struct GridLevel {
  int64_t windows = 1;
  double size = 1;

  void visit(FieldVisitor& f);
};

struct GridOptions {
  std::vector<GridLevel> levels = {{1, 1.0}, {2, 0.75}, {3, 0.5}, {4, 0.25}};

  void visit(FieldVisitor& f);
};

/// Selective search (Uijlings et al., "Selective Search for Object Recognition", IJCV 2013) as OpenCV's contrib has it.
struct SelectiveSearchOptions {
  int64_t longest_side = 160;
  double max_overlap = 0.7;
  double min_side = 0.1;
  bool whole_image = true;

  void visit(FieldVisitor& f);
};

struct ProposalOptions {
  ProposalKind kind = ProposalKind::grid;
  int64_t max_regions = 36;
  GridOptions grid;
  SelectiveSearchOptions selective_search;

  void visit(FieldVisitor& f);
  void check(FieldChecker& c) const;
};

/// The most boxes that a photo can get: the number of windows for the grid, max_regions for selective search.
int64_t most_regions(const ProposalOptions& options);

/// At least one and at most most_regions(options) boxes inside the image, in an order that depends on the pixels and
/// the options alone: for the grid, level by level, row by row; for selective search, sizes mixed, large ones mostly
/// first.
std::vector<Box> propose_regions(const Image& image, const ProposalOptions& options);

}  // namespace capture
