// Titles and labels of the synthetic world.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "capture/tensor/random.h"
#include "synth_catalogue.h"
#include "synth_words.h"

namespace capture::synth {

/// How many names a world with so many products gives.
int64_t names_needed(int64_t products);

class Titles {
 public:
  /// Keeps references to both.
  Titles(const Catalogue& catalogue, const Words& words) : catalogue_(catalogue), words_(words) {}

  /// "brand product category"; no two products have the same.
  std::string label(int64_t product) const;

  /// A title for a photo of `kit`: the brand, then some of what could be said of its products, then words that belong
  /// to a product's category or to nothing, in any order. Its number of tokens is drawn from the real titles'.
  std::string title(std::span<const int64_t> kit, RandomStream& random) const;

 private:
  enum class Named { brand, category, attribute, product };
  std::string name(Named kind, int64_t index) const;
  int64_t filler(int64_t category, RandomStream& random) const;

  const Catalogue& catalogue_;
  const Words& words_;
};

}  // namespace capture::synth
