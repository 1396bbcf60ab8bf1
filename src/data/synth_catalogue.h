// The products of the synthetic world: how they relate, how often they are shown, and together with which others.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "capture/tensor/random.h"
#include "synth_draw.h"

namespace capture::synth {

struct Product {
  int64_t brand = 0;
  int64_t category = 0;
  std::array<int64_t, 2> attributes = {};
};

class Catalogue {
 public:
  static constexpr int64_t kCategories = 24;
  static constexpr int64_t kAttributes = 40;

  /// How many brands so many products have, in the proportion of the real list.
  static int64_t brand_count(int64_t products);

  /// products >= 1.
  Catalogue(int64_t products, uint64_t seed);

  int64_t size() const { return static_cast<int64_t>(products_.size()); }
  const Product& operator[](int64_t product) const { return products_[static_cast<size_t>(product)]; }

  /// A product, by the real labels' frequencies.
  int64_t draw_product(RandomStream& random) const;

  /// What a photo of several products is labelled with: products of one brand, as many and as many repeated as on the
  /// real list, and each as often. A brand with too few products gives fewer.
  std::vector<int64_t> draw_kit(RandomStream& random) const;

 private:
  std::vector<int64_t> draw_different(std::vector<int64_t> pool, size_t count, RandomStream& random) const;

  std::vector<Product> products_;
  std::vector<double> frequencies_;           // of each product
  std::vector<std::vector<int64_t>> brands_;  // the products of each
  WeightedChoice product_choice_;
  WeightedChoice brand_choice_;
  WeightedChoice shape_choice_;
};

}  // namespace capture::synth
