#include "synth_titles.h"

#include <vector>

#include "synth_curves.h"
#include "synth_draw.h"

namespace capture::synth {

namespace {

constexpr int64_t kNamePieces = 2;
constexpr int64_t kTopicWords = 48;  // of each category

// How likely a title is to say each thing of a product.
constexpr float kSaysName = 0.5F;
constexpr float kSaysCategory = 0.8F;
constexpr float kSaysAttribute = 0.5F;
constexpr float kOnTopic = 0.5F;  // of the words that name nothing

/// Pieces of a title, [CLS] and [SEP] not counted.
int64_t draw_length(RandomStream& random) {
  static const WeightedChoice choice{std::vector<double>(kTitleTokens.begin(), kTitleTokens.end())};
  return kFirstTitleTokens + static_cast<int64_t>(choice.draw(random)) - 2;
}

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

}  // namespace

int64_t names_needed(int64_t products) {
  return Catalogue::brand_count(products) + Catalogue::kCategories + Catalogue::kAttributes + products;
}

std::string Titles::name(Named kind, int64_t index) const {
  if (kind >= Named::category) index += Catalogue::brand_count(catalogue_.size());
  if (kind >= Named::attribute) index += Catalogue::kCategories;
  if (kind >= Named::product) index += Catalogue::kAttributes;
  return words_.name(index);
}

std::string Titles::label(int64_t product) const {
  const Product& of = catalogue_[product];
  return join({name(Named::brand, of.brand), name(Named::product, product), name(Named::category, of.category)});
}

/// Frequencies fall as a power of the rank, as words' do.
int64_t Titles::filler(int64_t category, RandomStream& random) const {
  const double at = uniform(random);
  if (chance(random, kOnTopic)) {
    return (category * kTopicWords + static_cast<int64_t>(at * at * kTopicWords)) % words_.fillers();
  }
  return static_cast<int64_t>(at * at * at * static_cast<double>(words_.fillers()));
}

std::string Titles::title(std::span<const int64_t> kit, RandomStream& random) const {
  int64_t left = draw_length(random);
  std::vector<std::string> words;
  const auto say = [&](Named kind, int64_t index) {
    if (left < kNamePieces) return;
    words.push_back(name(kind, index));
    left -= kNamePieces;
  };
  say(Named::brand, catalogue_[kit.front()].brand);
  std::vector<int64_t> products(kit.begin(), kit.end());
  shuffle(products, random);  // so that a title too short for all of them speaks of any
  for (const int64_t product : products) {
    const Product& of = catalogue_[product];
    if (chance(random, kSaysName)) say(Named::product, product);
    if (chance(random, kSaysCategory)) say(Named::category, of.category);
    for (const int64_t attribute : of.attributes) {
      if (chance(random, kSaysAttribute)) say(Named::attribute, attribute);
    }
  }
  for (; left > 0; --left) words.push_back(words_.filler(filler(catalogue_[products.front()].category, random)));
  shuffle(words, random);
  return join(words);
}

}  // namespace capture::synth
