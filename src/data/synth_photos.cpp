#include "synth_photos.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "purpose.h"
#include "synth_draw.h"

namespace capture::synth {

namespace {

// How much of each pattern a region shows, in standard deviations of one number.
constexpr float kBrand = 0.5F;
constexpr float kCategory = 0.5F;
constexpr float kAttribute = 0.35F;
constexpr float kProduct = 0.7F;
constexpr float kLogo = 1.0F;
constexpr float kPart = 0.7F;
constexpr float kBackground = 0.8F;
constexpr float kScene = 0.25F;
constexpr float kNoise = 0.6F;

constexpr int64_t kBackgrounds = 64;
constexpr int64_t kSceneDirections = 8;
constexpr float kShowsProduct = 0.7F;  // of the regions that do not show a whole product
constexpr float kShowsLogo = 0.3F;     // of those, the ones that show its logo

constexpr uint32_t kBankSize = 1U << 20;

struct Box {
  float x1, y1, x2, y2;
};

/// A box inside `outer`, its sides between `low` and `high` of the outer's.
Box draw_box(const Box& outer, float low, float high, RandomStream& random) {
  const float width = (outer.x2 - outer.x1) * between(random, low, high);
  const float height = (outer.y2 - outer.y1) * between(random, low, high);
  const float x = between(random, outer.x1, outer.x2 - width);
  const float y = between(random, outer.y1, outer.y2 - height);
  return {x, y, std::min(x + width, outer.x2), std::min(y + height, outer.y2)};
}

/// Product `index` of `count` stands in its cell of a grid.
Box cell(size_t index, size_t count, const Box& image) {
  const auto columns = static_cast<size_t>(std::ceil(std::sqrt(static_cast<double>(count))));
  const size_t rows = (count + columns - 1) / columns;
  const float width = image.x2 / static_cast<float>(columns);
  const float height = image.y2 / static_cast<float>(rows);
  const float x = width * static_cast<float>(index % columns);
  const float y = height * static_cast<float>(index / columns);
  return {x, y, std::min(x + width, image.x2), std::min(y + height, image.y2)};
}

/// A photo's side in pixels: shop photos are mostly 800 wide and high.
int64_t draw_side(RandomStream& random) {
  return chance(random, 0.7F) ? 800 : 400 + random.below(801);
}

}  // namespace

Photos::Photos(const Catalogue& catalogue, int64_t regions, int64_t width, uint64_t seed)
    : catalogue_(catalogue),
      regions_(static_cast<size_t>(regions)),
      width_(static_cast<size_t>(width)),
      seed_(seed),
      bank_(kBankSize + width_) {
  // The sum of four bytes is close to normal, and exact on any machine: mean 510, variance 4 · (256² - 1) / 12.
  const auto scale = static_cast<float>(1 / std::sqrt(21845.0));
  RandomStream random(seed, 0, 0, purpose::synth_appearance);
  for (float& value : bank_) {
    const uint32_t bytes = random.next();
    const auto sum = static_cast<int32_t>((bytes & 255) + (bytes >> 8 & 255) + (bytes >> 16 & 255) + (bytes >> 24));
    value = static_cast<float>(sum - 510) * scale;
  }
}

Layer Photos::pattern(Pattern kind, int64_t index, float amount) const {
  RandomStream random(seed_, 1 + static_cast<uint64_t>(kind), static_cast<uint64_t>(index), purpose::synth_appearance);
  return {bank_.data() + random.below(kBankSize), amount};
}

Layer Photos::noise(RandomStream& random) const {
  return {bank_.data() + random.below(kBankSize), kNoise};
}

std::vector<float> Photos::draw_scene(RandomStream& random) const {
  Layers layers;
  for (int64_t direction = 0; direction < kSceneDirections; ++direction) {
    layers.add(pattern(Pattern::scene, direction, kScene * bank_[random.below(kBankSize)]));
  }
  std::vector<float> scene(width_);
  add_layers(layers.all(), false, scene);
  return scene;
}

void Photos::show_whole(const Product& product, int64_t index, Layers& layers) const {
  layers.add(pattern(Pattern::brand, product.brand, kBrand));
  layers.add(pattern(Pattern::category, product.category, kCategory));
  for (const int64_t attribute : product.attributes) layers.add(pattern(Pattern::attribute, attribute, kAttribute));
  layers.add(pattern(Pattern::product, index, kProduct));
}

void Photos::show_part(const Product& product, int64_t index, RandomStream& random, Layers& layers) const {
  if (chance(random, kShowsLogo)) {
    layers.add(pattern(Pattern::brand, product.brand, kLogo));
    return;
  }
  layers.add(pattern(Pattern::attribute, product.attributes[random.below(2)], kPart));
  layers.add(pattern(Pattern::product, index, kPart));
}

void Photos::draw(std::span<const int64_t> kit, RandomStream& random, Regions& photo) const {
  photo.image_width = draw_side(random);
  photo.image_height = draw_side(random);
  const Box image{0, 0, static_cast<float>(photo.image_width), static_cast<float>(photo.image_height)};
  const size_t shown = std::min(kit.size(), regions_);
  std::vector<Box> wholes;
  for (size_t i = 0; i < shown; ++i) wholes.push_back(draw_box(cell(i, shown, image), 0.6F, 1, random));

  const std::vector<float> scene = draw_scene(random);
  photo.boxes.clear();
  photo.features.resize(regions_ * width_);
  Layers layers;
  for (size_t region = 0; region < regions_; ++region) {
    layers.clear();
    Box box;
    if (region < shown) {
      box = wholes[region];
      show_whole(catalogue_[kit[region]], kit[region], layers);
    } else if (chance(random, kShowsProduct)) {
      const size_t of = random.below(static_cast<uint32_t>(shown));
      box = draw_box(wholes[of], 0.2F, 0.6F, random);
      show_part(catalogue_[kit[of]], kit[of], random, layers);
    } else {
      box = draw_box(image, 0.1F, 0.9F, random);
      layers.add(pattern(Pattern::background, random.below(kBackgrounds), kBackground));
    }
    layers.add(noise(random));
    const std::span<float> feature(photo.features.data() + region * width_, width_);
    std::ranges::copy(scene, feature.begin());
    add_layers(layers.all(), true, feature);
    photo.boxes.insert(photo.boxes.end(), {box.x1, box.y1, box.x2, box.y2});
  }
}

}  // namespace capture::synth
