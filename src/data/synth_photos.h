// What the photos of the synthetic world look like to a region detector.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "capture/data/sample.h"
#include "capture/tensor/random.h"
#include "synth_catalogue.h"
#include "synth_layers.h"

namespace capture::synth {

/// A region's feature is max(0, what it shows + the photo's scene + noise). What it shows is a sum of patterns that
/// belong to a brand, a category, attributes and a product. The scene is the same in all regions of a photo and larger
/// than what they show, but lies in few directions: whoever compares photos by their plain features compares scenes,
/// and whoever learns what the titles speak of learns to look past them.
class Photos {
 public:
  /// Keeps a reference to the catalogue. Every photo has `regions` regions, of `width` numbers each.
  Photos(const Catalogue& catalogue, int64_t regions, int64_t width, uint64_t seed);

  /// Makes `photo` one of `kit`: first each product whole, then parts of them, logos and background. Its memory is used
  /// again.
  void draw(std::span<const int64_t> kit, RandomStream& random, Regions& photo) const;

 private:
  enum class Pattern : uint64_t { brand, category, attribute, product, background, scene };

  /// What a region shows.
  class Layers {
   public:
    void clear() { count_ = 0; }
    void add(Layer layer) { layers_[count_++] = layer; }
    std::span<const Layer> all() const { return {layers_.data(), count_}; }

   private:
    std::array<Layer, 8> layers_;
    size_t count_ = 0;
  };

  Layer pattern(Pattern kind, int64_t index, float amount) const;
  Layer noise(RandomStream& random) const;
  std::vector<float> draw_scene(RandomStream& random) const;
  void show_whole(const Product& product, int64_t index, Layers& layers) const;
  void show_part(const Product& product, int64_t index, RandomStream& random, Layers& layers) const;

  const Catalogue& catalogue_;
  size_t regions_;
  size_t width_;
  uint64_t seed_;
  std::vector<float> bank_;  // nearly normal deviates; every pattern, and all noise, is a stretch of them
};

}  // namespace capture::synth
