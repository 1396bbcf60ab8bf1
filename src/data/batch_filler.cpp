#include "batch_filler.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>

namespace capture {

namespace {

template <class Size>
int64_t largest(std::span<const Draft> drafts, const Size& size) {
  int64_t most = 0;
  for (const Draft& draft : drafts) most = std::max(most, static_cast<int64_t>(size(draft)));
  return most;
}

template <class Size>
int64_t total(std::span<const Draft> drafts, const Size& size) {
  int64_t sum = 0;
  for (const Draft& draft : drafts) sum += static_cast<int64_t>(size(draft));
  return sum;
}

}  // namespace

at::Tensor FeaturePool::take(at::IntArrayRef sizes) {
  const auto options = at::TensorOptions().dtype(at::kFloat);
  if (pin_memory_) return at::empty(sizes, options.pinned_memory(true));
  const int64_t count = c10::multiply_integers(sizes);
  const std::lock_guard lock(mutex_);
  const auto free = std::ranges::find_if(
      blocks_, [&](const at::Tensor& block) { return block.storage().use_count() == 1 && block.numel() >= count; });
  if (free != blocks_.end()) {
    // Whoever let go of the block last has read it; what is written next must not be seen by those reads.
    std::atomic_thread_fence(std::memory_order_acquire);
    return free->narrow(0, 0, count).view(sizes);
  }
  // A free block that is too small would never be taken again.
  std::erase_if(blocks_, [](const at::Tensor& block) { return block.storage().use_count() == 1; });
  // A quarter more than asked for, so that a little more next time still fits; untouched pages cost nothing.
  blocks_.push_back(at::empty({count + count / 4}, options));
  return blocks_.back().narrow(0, 0, count).view(sizes);
}

BatchFiller::BatchFiller(const Drafter& drafter, int64_t feature_width, int64_t class_count, int64_t pad_token,
                         bool masking, bool pin_memory, FeaturePools& pools)
    : drafter_(drafter),
      feature_width_(feature_width),
      class_count_(class_count),
      pad_token_(pad_token),
      masking_(masking),
      pin_memory_(pin_memory),
      pools_(pools) {}

at::Tensor BatchFiller::empty(at::IntArrayRef sizes, at::ScalarType type) const {
  return at::empty(sizes, at::TensorOptions().dtype(type).pinned_memory(pin_memory_));
}

Batch BatchFiller::fill(std::vector<int64_t> samples, int64_t epoch) {
  drafts_.resize(std::max(drafts_.size(), samples.size()));
  for (size_t b = 0; b < samples.size(); ++b) drafter_.draw(samples[b], epoch, drafts_[b]);
  const std::span<const Draft> drafts(drafts_.data(), samples.size());
  Batch batch;
  fill_text(drafts, batch);
  fill_regions(drafts, batch);
  batch.samples = std::move(samples);
  batch.epoch = epoch;
  return batch;
}

void BatchFiller::fill_text(std::span<const Draft> drafts, Batch& batch) const {
  const auto rows = static_cast<int64_t>(drafts.size());
  const auto length = [](const Draft& draft) { return draft.tokens.size(); };
  const int64_t width = largest(drafts, length);
  PairBatch& inputs = batch.inputs;
  inputs.token_ids = empty({rows, width}, at::kLong);
  inputs.text_mask = empty({rows, width}, at::kBool);
  inputs.text_padded = total(drafts, length) < rows * width;
  const int64_t masked = total(drafts, [](const Draft& draft) { return draft.masked_tokens.size(); });
  batch.targets.token_rows = empty({masked}, at::kLong);
  batch.targets.token_ids = empty({masked}, at::kLong);

  auto* ids = inputs.token_ids.mutable_data_ptr<int64_t>();
  auto* mask = inputs.text_mask.mutable_data_ptr<bool>();
  auto* target_rows = batch.targets.token_rows.mutable_data_ptr<int64_t>();
  auto* target_ids = batch.targets.token_ids.mutable_data_ptr<int64_t>();
  for (int64_t b = 0; b < rows; ++b) {
    const Draft& draft = drafts[static_cast<size_t>(b)];
    const auto tokens = static_cast<int64_t>(draft.tokens.size());
    ids = std::fill_n(std::copy(draft.tokens.begin(), draft.tokens.end(), ids), width - tokens, pad_token_);
    mask = std::fill_n(std::fill_n(mask, tokens, true), width - tokens, false);
    for (const MaskedToken& token : draft.masked_tokens) {
      *target_rows++ = b * width + token.position;
      *target_ids++ = token.token;
    }
  }
}

void BatchFiller::fill_regions(std::span<const Draft> drafts, Batch& batch) const {
  const auto rows = static_cast<int64_t>(drafts.size());
  const auto count = [](const Draft& draft) { return draft.regions.size(); };
  const int64_t width = 1 + largest(drafts, count);
  PairBatch& inputs = batch.inputs;
  inputs.region_features = pools_.inputs.take({rows, width, feature_width_});
  inputs.region_locations = empty({rows, width, 5}, at::kFloat);
  inputs.region_mask = empty({rows, width}, at::kBool);
  inputs.regions_padded = total(drafts, count) < rows * (width - 1);
  const int64_t masked = total(drafts, [](const Draft& draft) { return draft.masked_regions.size(); });
  batch.targets.region_rows = empty({masked}, at::kLong);
  batch.targets.region_features = pools_.targets.take({masked, feature_width_});
  if (class_count_ > 0 && masking_) batch.targets.region_classes = empty({masked, class_count_}, at::kFloat);

  auto* features = inputs.region_features.mutable_data_ptr<float>();
  auto* location = inputs.region_locations.mutable_data_ptr<float>();
  auto* mask = inputs.region_mask.mutable_data_ptr<bool>();
  auto* target_rows = batch.targets.region_rows.mutable_data_ptr<int64_t>();
  auto* target = batch.targets.region_features.mutable_data_ptr<float>();
  float* classes = nullptr;
  if (batch.targets.region_classes.defined()) classes = batch.targets.region_classes.mutable_data_ptr<float>();
  constexpr std::array<float, 5> kWholeImage = {0, 0, 1, 1, 1};
  for (int64_t b = 0; b < rows; ++b, features += width * feature_width_) {
    const Draft& draft = drafts[static_cast<size_t>(b)];
    const auto regions = static_cast<int64_t>(draft.regions.size());
    location = std::copy(kWholeImage.begin(), kWholeImage.end(), location);
    for (const PlacedRegion& placed : draft.regions) {
      location = std::copy(placed.location.begin(), placed.location.end(), location);
    }
    location = std::fill_n(location, (width - 1 - regions) * 5, 0.0F);
    mask = std::fill_n(std::fill_n(mask, 1 + regions, true), width - 1 - regions, false);
    for (const MaskedRegion& region : draft.masked_regions) *target_rows++ = b * width + 1 + region.region;
    fill_region_row(draft, features, target, classes);
    std::fill_n(features + (1 + regions) * feature_width_, (width - 1 - regions) * feature_width_, 0.0F);
  }
}

void BatchFiller::fill_region_row(const Draft& draft, float* features, float*& target, float*& target_classes) const {
  float* const global = features;
  float* out = features + feature_width_;
  std::fill_n(global, feature_width_, 0.0F);
  auto masked = draft.masked_regions.begin();
  for (size_t r = 0; r < draft.regions.size(); ++r, out += feature_width_) {
    const auto& [view, region, location] = draft.regions[r];
    const bool chosen = masked != draft.masked_regions.end() && masked->region == static_cast<int32_t>(r);
    if (chosen && masked->zeroed) {
      view.copy_feature(region, target);
      std::fill_n(out, feature_width_, 0.0F);
    } else {
      view.copy_feature_and_add(region, out, global);
      if (chosen) std::copy_n(out, feature_width_, target);
    }
    if (!chosen) continue;
    ++masked;
    target += feature_width_;
    if (target_classes == nullptr) continue;
    view.copy_classes(region, target_classes);
    target_classes += class_count_;
  }
  const auto regions = static_cast<float>(draft.regions.size());
  for (int64_t i = 0; i < feature_width_; ++i) global[i] /= regions;
}

}  // namespace capture
