#include "draft.h"

#include <algorithm>

#include "purpose.h"

namespace capture {

namespace {

std::array<float, 5> locate(const RegionsView& view, int64_t region) {
  const float* const box = view.boxes.data() + region * 4;
  const auto width = static_cast<float>(view.image_width);
  const auto height = static_cast<float>(view.image_height);
  return {box[0] / width, box[1] / height, box[2] / width, box[3] / height,
          (box[2] - box[0]) * (box[3] - box[1]) / (width * height)};
}

}  // namespace

void Draft::clear() {
  tokens.clear();
  masked_tokens.clear();
  regions.clear();
  masked_regions.clear();
}

void Draft::forget_targets() {
  masked_tokens.clear();
  masked_regions.clear();
}

Drafter::Drafter(const Dataset& dataset, const Tokenizer& tokenizer, const LoaderOptions& options,
                 const std::optional<MaskingOptions>& masking)
    : dataset_(dataset),
      tokenizer_(tokenizer),
      masking_(masking),
      augmentation_(options.augmentation),
      specials_(tokenizer.specials()),
      vocabulary_size_(tokenizer.vocabulary_size()),
      seed_(static_cast<uint64_t>(options.seed)),
      max_title_tokens_(static_cast<size_t>(options.max_tokens) - 2),
      max_regions_(options.max_regions == 0 ? dataset.max_regions() : options.max_regions),
      token_ids_stored_(dataset.tokenizer_fingerprint() == tokenizer.fingerprint()) {}

void Drafter::draw(SampleDraw drawn, int64_t epoch, Draft& draft) const {
  const auto item = static_cast<uint64_t>(item_of(drawn));
  const auto stream = [&](uint32_t purpose) {
    return RandomStream(seed_, static_cast<uint64_t>(epoch), item, purpose);
  };
  const auto draw_below = [&](bool wanted, int64_t count, uint32_t purpose) -> int64_t {
    return wanted && count > 1 ? stream(purpose).below(static_cast<uint32_t>(count)) : 0;
  };
  draft.clear();
  const SampleView stored = dataset_.sample(drawn.sample);
  write_title(stored, draw_below(augmentation_.draw_title, stored.title_count(), purpose::title), draft);
  const int64_t view = draw_below(augmentation_.draw_view, stored.view_count(), purpose::view);
  draft.view = stored.regions(view);
  place_regions(draft.view, stream(purpose::regions), draft);
  if (!masking_) return;
  RandomStream token_random = stream(purpose::token_mask);
  mask_tokens(*masking_, token_random, specials_, vocabulary_size_, draft.tokens, draft.masked_tokens);
  RandomStream region_random = stream(purpose::region_mask);
  mask_regions(*masking_, region_random, static_cast<int64_t>(draft.regions.size()), draft.masked_regions);
}

void Drafter::write_title(const SampleView& sample, int64_t title, Draft& draft) const {
  draft.tokens.push_back(specials_.cls);
  if (token_ids_stored_) {
    sample.token_ids(title)->append_to(draft.tokens, max_title_tokens_);
  } else {
    tokenizer_.append(sample.title(title), draft.tokens, max_title_tokens_);
  }
  draft.tokens.push_back(specials_.sep);
}

void Drafter::place_regions(const RegionsView& view, RandomStream random, Draft& draft) const {
  const int64_t count = std::min(view.count, max_regions_);
  int64_t wanted = augmentation_.draw_regions == 0 ? count : std::min(augmentation_.draw_regions, count);
  for (int64_t r = 0; r < count && wanted > 0; ++r) {
    // Each region in turn is taken with the chance that leaves every choice of `wanted` among those left as likely.
    const int64_t left = count - r;
    if (wanted < left && static_cast<int64_t>(random.below(static_cast<uint32_t>(left))) >= wanted) continue;
    draft.regions.push_back({r, locate(view, r)});
    --wanted;
  }
}

}  // namespace capture
