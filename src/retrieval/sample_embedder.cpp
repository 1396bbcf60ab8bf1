// embed_samples: pairs that are in memory, each perhaps without its title or its photo.
#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <span>
#include <tuple>

#include "capture/base/error.h"
#include "capture/retrieval/embedder.h"
#include "capture/text/tokenizer.h"
#include "embedding_pass.h"

namespace capture {

namespace {

/// What the model sees of a sample.
struct Seen {
  std::vector<int32_t> tokens;     // [CLS] … [SEP]
  const Regions* photo = nullptr;  // null: none
  int64_t regions = 0;             // of the photo, the first ones

  bool has_title() const { return tokens.size() > 2; }
};

[[noreturn]] void refuse(const Sample& sample, const std::string& what, const std::string& allowed = {}) {
  throw UserError({.what = what, .where = "sample \"" + sample.id + "\"", .allowed = allowed});
}

void check_photo(const Sample& sample, const Regions& photo, int64_t feature_width) {
  if (photo.boxes.size() % 4 != 0) {
    refuse(sample, "has boxes of " + std::to_string(photo.boxes.size()) + " numbers", "4 a region");
  }
  const auto expected = static_cast<size_t>(photo.count() * feature_width);
  if (photo.features.size() != expected) {
    refuse(sample,
           "has " + std::to_string(photo.features.size()) + " feature values for " + std::to_string(photo.count()) +
               " regions",
           std::to_string(expected) + ", " + std::to_string(feature_width) + " a region");
  }
  if (photo.image_width < 1 || photo.image_height < 1) {
    refuse(sample, "has an image of " + std::to_string(photo.image_width) + " by " +
                       std::to_string(photo.image_height) + " pixels");
  }
  const auto finite = [](float value) { return std::isfinite(value); };
  if (!std::ranges::all_of(photo.boxes, finite) || !std::ranges::all_of(photo.features, finite)) {
    refuse(sample, "has a box or a feature that is not finite");
  }
}

Seen look_at(const Sample& sample, const Tokenizer& tokenizer, int64_t feature_width, const EmbedderOptions& options) {
  Seen seen;
  const std::string title = sample.titles.empty() ? std::string() : sample.titles.front();
  seen.tokens = encode_with_specials(tokenizer, title, static_cast<size_t>(options.max_tokens));
  if (!sample.views.empty() && sample.views.front().count() > 0) {
    seen.photo = &sample.views.front();
    check_photo(sample, *seen.photo, feature_width);
    const int64_t count = seen.photo->count();
    seen.regions = options.max_regions == 0 ? count : std::min(count, options.max_regions);
  }
  if (!seen.has_title() && seen.photo == nullptr) refuse(sample, "has neither a title nor a photo", "one of the two");
  return seen;
}

/// Rows of a batch as they are filled, padded with zeros. A missing photo is a global region without any feature: the
/// title still has something to look at, and always the same.
class BatchBuilder {
 public:
  BatchBuilder(int64_t pairs, int64_t tokens, int64_t regions, int64_t width, int32_t pad)
      : width_(width), text_left_(pairs), regions_left_(pairs) {
    batch_.token_ids = at::full({pairs, tokens}, pad, at::kLong);
    batch_.text_mask = at::zeros({pairs, tokens}, at::kBool);
    batch_.region_features = at::zeros({pairs, 1 + regions, width}, at::kFloat);
    batch_.region_locations = at::zeros({pairs, 1 + regions, 5}, at::kFloat);
    batch_.region_mask = at::zeros({pairs, 1 + regions}, at::kBool);
  }

  void fill(int64_t row, const Seen& seen) {
    const auto length = static_cast<int64_t>(seen.tokens.size());
    std::ranges::copy(seen.tokens, row_of<int64_t>(batch_.token_ids, row));
    std::fill_n(row_of<bool>(batch_.text_mask, row), length, true);
    std::fill_n(row_of<bool>(batch_.region_mask, row), 1 + seen.regions, true);
    text_left_ -= length == batch_.text_mask.size(1);
    regions_left_ -= 1 + seen.regions == batch_.region_mask.size(1);
    fill_regions(seen, row_of<float>(batch_.region_features, row), row_of<float>(batch_.region_locations, row));
  }

  PairBatch take() {
    batch_.text_padded = text_left_ > 0;
    batch_.regions_padded = regions_left_ > 0;
    return std::move(batch_);
  }

 private:
  template <class Number>
  static Number* row_of(at::Tensor& tensor, int64_t row) {
    return tensor.mutable_data_ptr<Number>() + row * tensor.stride(0);
  }

  /// In the order and with the rounding of the loader, so that a stored sample and its copy in memory are the same.
  void fill_regions(const Seen& seen, float* global, float* location) const {
    constexpr std::array<float, 5> kWholeImage = {0, 0, 1, 1, 1};
    location = std::ranges::copy(kWholeImage, location).out;
    if (seen.photo == nullptr) return;
    const auto width = static_cast<float>(seen.photo->image_width);
    const auto height = static_cast<float>(seen.photo->image_height);
    const float* feature = seen.photo->features.data();
    float* out = global + width_;
    for (int64_t r = 0; r < seen.regions; ++r, feature += width_, out += width_) {
      const float* const box = &seen.photo->boxes[static_cast<size_t>(4 * r)];
      const std::array<float, 5> place = {box[0] / width, box[1] / height, box[2] / width, box[3] / height,
                                          (box[2] - box[0]) * (box[3] - box[1]) / (width * height)};
      location = std::ranges::copy(place, location).out;
      for (int64_t i = 0; i < width_; ++i) global[i] += out[i] = feature[i];
    }
    for (int64_t i = 0; i < width_; ++i) global[i] /= static_cast<float>(seen.regions);
  }

  int64_t width_;
  PairBatch batch_;
  int64_t text_left_;     // rows whose title is shorter than the longest
  int64_t regions_left_;  // rows with fewer regions than the most
};

/// The samples by length, so that those that share a batch need little padding.
std::vector<int64_t> by_length(const std::vector<Seen>& seen) {
  std::vector<int64_t> order(seen.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {}, [&](int64_t i) {
    return std::tuple(seen[static_cast<size_t>(i)].tokens.size(), seen[static_cast<size_t>(i)].regions);
  });
  return order;
}

PairBatch batch_of(std::span<const Seen* const> pairs, int64_t feature_width, int32_t pad) {
  int64_t tokens = 0, regions = 0;
  for (const Seen* pair : pairs) {
    tokens = std::max(tokens, static_cast<int64_t>(pair->tokens.size()));
    regions = std::max(regions, pair->regions);
  }
  BatchBuilder builder(static_cast<int64_t>(pairs.size()), tokens, regions, feature_width, pad);
  for (size_t b = 0; b < pairs.size(); ++b) builder.fill(static_cast<int64_t>(b), *pairs[b]);
  return builder.take();
}

void clear_rows(const std::vector<int64_t>& rows, at::Tensor projection, at::Tensor pooled) {
  const at::Tensor index = at::tensor(rows, at::kLong);
  projection.index_fill_(0, index, 0.0);
  if (pooled.defined()) pooled.index_fill_(0, index, 0.0);
}

}  // namespace

PairEmbeddings embed_samples(HybridStreamModel& model, at::Device device, std::span<const Sample> samples,
                             const Tokenizer& tokenizer, const EmbedderOptions& options) {
  const int64_t feature_width = model->options().feature_width;
  std::vector<Seen> seen;
  std::vector<int64_t> without_title, without_photo;
  int64_t most_regions = 0;
  for (const Sample& sample : samples) {
    const auto row = static_cast<int64_t>(seen.size());
    seen.push_back(look_at(sample, tokenizer, feature_width, options));
    if (!seen.back().has_title()) without_title.push_back(row);
    if (seen.back().photo == nullptr) without_photo.push_back(row);
    most_regions = std::max(most_regions, seen.back().regions);
  }
  require_fit(model->options(), tokenizer, feature_width, options.max_tokens, most_regions, "the samples");

  EmbeddingPass pass(model, device, options, static_cast<int64_t>(samples.size()));
  const std::vector<int64_t> order = by_length(seen);
  for (std::span<const int64_t> left = order; !left.empty();) {
    const std::span<const int64_t> rows = left.first(std::min(left.size(), static_cast<size_t>(options.batch_size)));
    std::vector<const Seen*> pairs;
    for (const int64_t row : rows) pairs.push_back(&seen[static_cast<size_t>(row)]);
    Batch batch;
    batch.inputs = batch_of(pairs, feature_width, tokenizer.specials().pad);
    pass.add(std::move(batch), rows);
    left = left.subspan(rows.size());
  }
  PairEmbeddings all = pass.result();
  clear_rows(without_title, all.text_projection, all.text_pooled);
  clear_rows(without_photo, all.region_projection, all.region_pooled);
  return all;
}

}  // namespace capture
