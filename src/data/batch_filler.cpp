#include "batch_filler.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "feature_copy.h"

namespace capture {

namespace {

constexpr std::array<float, 5> kWholeImage = {0, 0, 1, 1, 1};

/// Beyond this, what is written first has left most caches before the last is written.
constexpr int64_t kCachedBytes = int64_t{4} << 20;

template <class Count>
int64_t largest(std::span<const Draft> drafts, const Count& count) {
  int64_t most = 0;
  for (const Draft& draft : drafts) most = std::max(most, static_cast<int64_t>(count(draft)));
  return most;
}

template <class Count>
int64_t total(std::span<const Draft> drafts, const Count& count) {
  int64_t sum = 0;
  for (const Draft& draft : drafts) sum += static_cast<int64_t>(count(draft));
  return sum;
}

int64_t token_count(const Draft& draft) {
  return static_cast<int64_t>(draft.tokens.size());
}

int64_t row_count(const Draft& draft) {
  return 1 + static_cast<int64_t>(draft.regions.size());
}

int64_t masked_count(const Draft& draft) {
  return static_cast<int64_t>(draft.masked_regions.size());
}

at::ScalarType feature_type(const BatchForm& form) {
  return form.half_features ? at::kHalf : at::kFloat;
}

at::Tensor mask_of(std::span<const Draft> drafts, at::Tensor mask, int64_t (*count)(const Draft&)) {
  auto* out = mask.mutable_data_ptr<bool>();
  const int64_t width = mask.size(1);
  for (const Draft& draft : drafts) {
    out = std::fill_n(std::fill_n(out, count(draft), true), width - count(draft), false);
  }
  return mask;
}

/// One row's regions as float32, the global one first; returns where the next row's masked features go.
float* fill_row(const Draft& draft, float* features, float* target, bool past_caches) {
  const int64_t width = draft.view.feature_width;
  const auto count = static_cast<size_t>(width);
  float* const global = features;
  float* out = features + width;
  std::fill_n(global, count, 0.0F);
  auto masked = draft.masked_regions.begin();
  for (size_t r = 0; r < draft.regions.size(); ++r, out += width) {
    const int64_t region = draft.regions[r].region;
    const bool chosen = masked != draft.masked_regions.end() && masked->region == static_cast<int32_t>(r);
    if (chosen && masked->zeroed) {
      draft.view.copy_feature(region, target);
      std::fill_n(out, count, 0.0F);
    } else {
      // What becomes a target is read again at once.
      copy_and_add(draft.view, region, out, global, past_caches && !chosen);
      if (chosen) std::copy_n(out, count, target);
    }
    if (!chosen) continue;
    ++masked;
    target += width;
  }
  const auto regions = static_cast<float>(draft.regions.size());
  for (size_t i = 0; i < count; ++i) global[i] /= regions;
  return target;
}

/// One row's regions as they are stored, the global one left to whoever widens them: in float16 it would lose digits.
at::Half* fill_row(const Draft& draft, at::Half* features, at::Half* target, bool) {
  const int64_t width = draft.view.feature_width;
  const size_t bytes = static_cast<size_t>(width) * sizeof(at::Half);
  const auto stored = [&](size_t r) {
    return draft.view.features.data() + static_cast<size_t>(draft.regions[r].region) * bytes;
  };
  std::memset(features, 0, bytes);
  at::Half* out = features + width;
  for (size_t r = 0; r < draft.regions.size(); ++r, out += width) std::memcpy(out, stored(r), bytes);
  for (const MaskedRegion& masked : draft.masked_regions) {
    std::memcpy(target, stored(static_cast<size_t>(masked.region)), bytes);
    target += width;
    if (masked.zeroed) std::memset(features + (1 + masked.region) * width, 0, bytes);
  }
  return target;
}

}  // namespace

int64_t BatchForm::feature_bytes() const {
  const int64_t rows = batch_size * (1 + 2 * max_regions);  // all of them masked, at worst
  return rows * feature_width * (half_features ? 2 : 4);
}

FeaturePools::FeaturePools(const BatchForm& form)
    : inputs(form.batch_size * (1 + form.max_regions) * form.feature_width, feature_type(form), form.pin_memory),
      targets(form.batch_size * form.max_regions * form.feature_width, feature_type(form), form.pin_memory) {}

BatchFiller::BatchFiller(const Drafter& drafter, const BatchForm& form, FeaturePools& pools, Trace* trace)
    : drafter_(drafter), form_(form), pools_(pools), trace_(trace) {}

at::Tensor BatchFiller::empty(at::IntArrayRef sizes, at::ScalarType type) const {
  return at::empty(sizes, at::TensorOptions().dtype(type).pinned_memory(form_.pin_memory));
}

Batch BatchFiller::fill(const RankBatch& drawn, int64_t epoch, int64_t number) {
  Batch batch;
  const size_t size = drawn.draws.size();
  drafts_.resize(std::max(drafts_.size(), size));
  {
    const TraceSpan span(trace_, "decode", number);
    for (size_t b = 0; b < size; ++b) {
      drafter_.draw(drawn.draws[b], epoch, drafts_[b]);
      batch.samples.push_back(drawn.draws[b].sample);
    }
    if (drawn.stands_in) drafts_[size - 1].forget_targets();
  }
  const TraceSpan span(trace_, "copy", number);
  const std::span<const Draft> drafts(drafts_.data(), size);
  if (form_.packed) {
    batch.packed.emplace();
    batch.packed->items = empty({static_cast<int64_t>(size)}, at::kLong);
    std::ranges::transform(drawn.draws, batch.packed->items.mutable_data_ptr<int64_t>(),
                           [&](SampleDraw draw) { return drafter_.item_of(draw); });
  }
  fill_text(drafts, batch);
  fill_regions(drafts, batch);
  batch.pairs = drawn.pairs;
  batch.epoch = epoch;
  return batch;
}

template <class Count>
std::vector<int64_t> BatchFiller::lay_out(std::span<const Draft> drafts, const Count& count) const {
  const int64_t width = largest(drafts, count);
  std::vector<int64_t> starts = {0};
  for (const Draft& draft : drafts) starts.push_back(starts.back() + (form_.packed ? count(draft) : width));
  return starts;
}

at::Tensor BatchFiller::cumulative(const std::vector<int64_t>& starts) const {
  at::Tensor tensor = empty({static_cast<int64_t>(starts.size())}, at::kInt);
  std::ranges::transform(starts, tensor.mutable_data_ptr<int32_t>(),
                         [](int64_t at) { return static_cast<int32_t>(at); });
  return tensor;
}

void BatchFiller::fill_text(std::span<const Draft> drafts, Batch& batch) const {
  const std::vector<int64_t> starts = lay_out(drafts, token_count);
  at::Tensor flat = empty({starts.back()}, at::kLong);
  const int64_t masked = total(drafts, [](const Draft& draft) { return draft.masked_tokens.size(); });
  batch.targets.token_rows = empty({masked}, at::kLong);
  batch.targets.token_ids = empty({masked}, at::kLong);
  auto* const ids = flat.mutable_data_ptr<int64_t>();
  auto* target_rows = batch.targets.token_rows.mutable_data_ptr<int64_t>();
  auto* target_ids = batch.targets.token_ids.mutable_data_ptr<int64_t>();
  for (size_t b = 0; b < drafts.size(); ++b) {
    const Draft& draft = drafts[b];
    std::fill(std::copy(draft.tokens.begin(), draft.tokens.end(), ids + starts[b]), ids + starts[b + 1],
              form_.pad_token);
    for (const MaskedToken& token : draft.masked_tokens) {
      *target_rows++ = starts[b] + token.position;
      *target_ids++ = token.token;
    }
  }
  if (form_.packed) {
    batch.packed->token_ids = std::move(flat);
    batch.packed->text_starts = cumulative(starts);
    batch.packed->max_tokens = largest(drafts, token_count);
    return;
  }
  const auto rows = static_cast<int64_t>(drafts.size());
  batch.inputs.token_ids = flat.view({rows, -1});
  batch.inputs.text_mask = mask_of(drafts, empty(batch.inputs.token_ids.sizes(), at::kBool), token_count);
  batch.inputs.text_padded = total(drafts, token_count) < starts.back();
}

void BatchFiller::fill_places(std::span<const Draft> drafts, const std::vector<int64_t>& starts, Batch& batch) const {
  at::Tensor flat = empty({starts.back(), 5}, at::kFloat);
  batch.targets.region_rows = empty({total(drafts, masked_count)}, at::kLong);
  auto* const locations = flat.mutable_data_ptr<float>();
  auto* target_rows = batch.targets.region_rows.mutable_data_ptr<int64_t>();
  for (size_t b = 0; b < drafts.size(); ++b) {
    float* location = std::copy(kWholeImage.begin(), kWholeImage.end(), locations + starts[b] * 5);
    for (const PlacedRegion& placed : drafts[b].regions) {
      location = std::copy(placed.location.begin(), placed.location.end(), location);
    }
    std::fill(location, locations + starts[b + 1] * 5, 0.0F);
    for (const MaskedRegion& region : drafts[b].masked_regions) *target_rows++ = starts[b] + 1 + region.region;
  }
  if (form_.packed) {
    batch.packed->region_locations = std::move(flat);
    batch.packed->region_starts = cumulative(starts);
    batch.packed->max_regions = largest(drafts, row_count);
    return;
  }
  const auto rows = static_cast<int64_t>(drafts.size());
  batch.inputs.region_locations = flat.view({rows, -1, 5});
  batch.inputs.region_mask = mask_of(drafts, empty({rows, starts.back() / rows}, at::kBool), row_count);
  batch.inputs.regions_padded = total(drafts, row_count) < starts.back();
}

void BatchFiller::fill_regions(std::span<const Draft> drafts, Batch& batch) const {
  const std::vector<int64_t> starts = lay_out(drafts, row_count);
  fill_places(drafts, starts, batch);
  at::Tensor features = pools_.inputs.take({starts.back(), form_.feature_width});
  MaskedTargets& targets = batch.targets;
  targets.region_features = pools_.targets.take({total(drafts, masked_count), form_.feature_width});
  if (form_.half_features) {
    fill_features(drafts, starts, features.mutable_data_ptr<at::Half>(),
                  targets.region_features.mutable_data_ptr<at::Half>());
  } else {
    fill_features(drafts, starts, features.mutable_data_ptr<float>(),
                  targets.region_features.mutable_data_ptr<float>());
  }
  if (form_.class_count > 0) {
    targets.region_classes = empty({targets.region_rows.size(0), form_.class_count}, at::kFloat);
    fill_classes(drafts, targets.region_classes.mutable_data_ptr<float>());
  }
  if (form_.packed) {
    batch.packed->region_features = std::move(features);
  } else {
    const auto rows = static_cast<int64_t>(drafts.size());
    batch.inputs.region_features = features.view({rows, -1, form_.feature_width});
  }
}

template <class Number>
void BatchFiller::fill_features(std::span<const Draft> drafts, const std::vector<int64_t>& starts, Number* features,
                                Number* targets) const {
  const int64_t width = form_.feature_width;
  const bool past_caches = starts.back() * width * static_cast<int64_t>(sizeof(Number)) > kCachedBytes;
  for (size_t b = 0; b < drafts.size(); ++b) {
    targets = fill_row(drafts[b], features + starts[b] * width, targets, past_caches);
    const int64_t end = starts[b] + row_count(drafts[b]);
    std::fill(features + end * width, features + starts[b + 1] * width, Number(0));
  }
  finish_copies();
}

void BatchFiller::fill_classes(std::span<const Draft> drafts, float* classes) const {
  for (const Draft& draft : drafts) {
    for (const MaskedRegion& masked : draft.masked_regions) {
      draft.view.copy_classes(draft.regions[static_cast<size_t>(masked.region)].region, classes);
      classes += form_.class_count;
    }
  }
}

}  // namespace capture
