#include "capture/data/synth.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <vector>

#include "capture/base/config.h"
#include "purpose.h"
#include "synth_catalogue.h"
#include "synth_photos.h"
#include "synth_titles.h"
#include "synth_words.h"

namespace capture {

namespace {

using namespace synth;

constexpr float kTrainingKits = 0.5F;  // of the training photos, those that show several products

SynthOptions checked(SynthOptions options) {
  SynthOptions ranged;
  read_options(parse_json(to_line(to_json(options)), "synth"), ranged);
  return ranged;
}

}  // namespace

void SynthOptions::visit(FieldVisitor& f) {
  f.field("products", products, "Products; every one has a label.", {1, 1000000});
  f.field("regions", regions, "Regions of every photo.", {1, 4096});
  f.field("feature_width", feature_width, "Numbers a region.", {1, 65536});
  f.field("vocabulary_size", vocabulary_size, "Pieces of the vocabulary, five special tokens among them.",
          {64, Words::kMaxVocabulary});
  f.field("seed", seed, "Another seed is another world.", {0, std::numeric_limits<int64_t>::max()});
}

void SynthOptions::check(FieldChecker& c) const {
  const int64_t names = Words(vocabulary_size).names();
  c.require(names_needed(products) <= names, "vocabulary_size",
            fmt::format("has {} names, too few for {} products", names, products),
            fmt::format("a vocabulary that gives {} names", names_needed(products)));
}

struct SynthWorld::Impl {
  explicit Impl(const SynthOptions& options)
      : seed(static_cast<uint64_t>(options.seed)),
        words(options.vocabulary_size),
        catalogue(options.products, seed),
        titles(catalogue, words),
        photos(catalogue, options.regions, options.feature_width, seed) {}

  std::vector<int64_t> draw_kit(SynthPart part, int64_t index) const {
    RandomStream random(seed, static_cast<uint64_t>(part), static_cast<uint64_t>(index), purpose::synth_kit);
    switch (part) {
      case SynthPart::train:
        if (!chance(random, kTrainingKits)) break;
        [[fallthrough]];
      case SynthPart::queries:
        return catalogue.draw_kit(random);
      case SynthPart::gallery:
        // Every product is there to be found.
        if (index < catalogue.size()) return {index};
    }
    return {catalogue.draw_product(random)};
  }

  uint64_t seed;
  Words words;
  Catalogue catalogue;
  Titles titles;
  Photos photos;
};

SynthWorld::SynthWorld(const SynthOptions& options) : impl_(std::make_unique<const Impl>(checked(options))) {}

SynthWorld::~SynthWorld() = default;

void SynthWorld::draw(SynthPart part, int64_t index, Sample& sample) const {
  const Impl& world = *impl_;
  const auto stream = [&](uint32_t purpose) {
    return RandomStream(world.seed, static_cast<uint64_t>(part), static_cast<uint64_t>(index), purpose);
  };
  const std::vector<int64_t> kit = world.draw_kit(part, index);
  RandomStream title = stream(purpose::synth_title);
  RandomStream photo = stream(purpose::synth_photo);
  static constexpr std::array<char, 3> kInitials = {'t', 'g', 'q'};
  sample.id = fmt::format("{}{:09}", kInitials[static_cast<size_t>(part)], index);
  sample.titles.assign(1, world.titles.title(kit, title));
  sample.labels.clear();
  if (part != SynthPart::train) {
    for (const int64_t product : kit) sample.labels.push_back(world.titles.label(product));
  }
  sample.views.resize(1);
  world.photos.draw(kit, photo, sample.views.front());
}

Sample SynthWorld::sample(SynthPart part, int64_t index) const {
  Sample sample;
  draw(part, index, sample);
  return sample;
}

std::string SynthWorld::vocabulary() const {
  return impl_->words.vocabulary();
}

}  // namespace capture
