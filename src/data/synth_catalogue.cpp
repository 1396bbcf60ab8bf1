#include "synth_catalogue.h"

#include <numeric>
#include <queue>
#include <span>
#include <utility>

#include "purpose.h"
#include "synth_curves.h"

namespace capture::synth {

namespace {

/// The curve drawn over `count` points instead of its own.
std::vector<double> resample(std::span<const int32_t> curve, int64_t count) {
  std::vector<double> values;
  for (int64_t i = 0; i < count; ++i) {
    const double at =
        count == 1 ? 0 : static_cast<double>(i * (std::ssize(curve) - 1)) / static_cast<double>(count - 1);
    const auto left = static_cast<size_t>(at);
    const size_t right = std::min(left + 1, curve.size() - 1);
    values.push_back(curve[left] + (at - static_cast<double>(left)) * (curve[right] - curve[left]));
  }
  return values;
}

/// How many products each brand has: at least one, the others by the real brands' sizes.
std::vector<int64_t> brand_sizes(int64_t products) {
  const int64_t brands = Catalogue::brand_count(products);
  const std::vector<double> shares = resample(kBrandSizes, brands);
  const double total = std::accumulate(shares.begin(), shares.end(), 0.0);
  std::vector<int64_t> sizes;
  int64_t left = products - brands;
  for (const double share : shares) {
    const auto more = static_cast<int64_t>(share / total * static_cast<double>(products - brands));
    sizes.push_back(1 + more);
    left -= more;
  }
  for (size_t i = 0; left > 0; i = (i + 1) % sizes.size(), --left) ++sizes[i];
  return sizes;
}

}  // namespace

int64_t Catalogue::brand_count(int64_t products) {
  return std::max<int64_t>(1, products * std::ssize(kBrandSizes) / std::ssize(kLabelCounts));
}

Catalogue::Catalogue(int64_t products, uint64_t seed)
    : products_(static_cast<size_t>(products)), frequencies_(resample(kLabelCounts, products)) {
  // From the most frequent down, each product goes to the brand with the most room: a brand whose one product outsells
  // all its others could not show that one often enough, for it stands but once among a photo's different products.
  std::priority_queue<std::pair<int64_t, int64_t>> room;  // places left, brand
  for (const int64_t size : brand_sizes(products)) {
    room.emplace(size, std::ssize(brands_));
    brands_.emplace_back();
  }
  std::vector<double> brand_frequencies(brands_.size());
  for (int64_t product = 0; product < products; ++product) {
    const auto [places, brand] = room.top();
    room.pop();
    if (places > 1) room.emplace(places - 1, brand);
    brands_[static_cast<size_t>(brand)].push_back(product);
    brand_frequencies[static_cast<size_t>(brand)] += frequencies_[static_cast<size_t>(product)];
    RandomStream random(seed, 0, static_cast<uint64_t>(product), purpose::synth_catalogue);
    products_[static_cast<size_t>(product)] = {.brand = brand,
                                               .category = random.below(kCategories),
                                               .attributes = {random.below(kAttributes), random.below(kAttributes)}};
  }
  product_choice_ = WeightedChoice(frequencies_);
  brand_choice_ = WeightedChoice(brand_frequencies);
  std::vector<double> shapes;
  for (const KitShape& shape : kKitShapes) shapes.push_back(shape.count);
  shape_choice_ = WeightedChoice(shapes);
}

int64_t Catalogue::draw_product(RandomStream& random) const {
  return static_cast<int64_t>(product_choice_.draw(random));
}

std::vector<int64_t> Catalogue::draw_kit(RandomStream& random) const {
  const KitShape& shape = kKitShapes[shape_choice_.draw(random)];
  std::vector<int64_t> kit =
      draw_different(brands_[brand_choice_.draw(random)], static_cast<size_t>(shape.distinct), random);
  const size_t different = kit.size();
  for (int32_t i = shape.distinct; i < shape.listed; ++i) {
    kit.push_back(kit[random.below(static_cast<uint32_t>(different))]);
  }
  return kit;
}

/// Madow's systematic sampling: each member's chance is in proportion to its frequency, which drawing one after another
/// would flatten. A member whose chance would exceed 1 is certain.
std::vector<int64_t> Catalogue::draw_different(std::vector<int64_t> pool, size_t count, RandomStream& random) const {
  count = std::min(count, pool.size());
  const auto frequency = [&](int64_t product) { return frequencies_[static_cast<size_t>(product)]; };
  std::ranges::sort(pool, {}, [&](int64_t product) { return std::pair(-frequency(product), product); });
  double total = 0;
  for (const int64_t product : pool) total += frequency(product);

  std::vector<int64_t> chosen;
  auto rest = pool.begin();
  for (; chosen.size() < count && frequency(*rest) * static_cast<double>(count - chosen.size()) >= total; ++rest) {
    chosen.push_back(*rest);
    total -= frequency(*rest);
  }
  pool.erase(pool.begin(), rest);
  shuffle(pool, random);
  const double step = total / static_cast<double>(std::max<size_t>(1, count - chosen.size()));
  double next = step * uniform(random) * (1 - 1e-9);  // clear of the end, which rounding might put out of reach
  double end = 0;
  for (const int64_t product : pool) {
    end += frequency(product);
    if (chosen.size() < count && next < end) {
      chosen.push_back(product);
      next += step;
    }
  }
  shuffle(chosen, random);
  return chosen;
}

}  // namespace capture::synth
