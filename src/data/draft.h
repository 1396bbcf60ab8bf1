// What one row of a batch will hold, drawn before any tensor exists: which tokens, which regions where, what is masked.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "capture/data/dataset.h"
#include "capture/data/loader.h"
#include "capture/data/masking.h"
#include "capture/data/sampler.h"
#include "capture/text/tokenizer.h"

namespace capture {

/// A region of the view, and where it lies in the image: x1/w, y1/h, x2/w, y2/h, area/(w·h).
struct PlacedRegion {
  int64_t region;
  std::array<float, 5> location;
};

struct Draft {
  std::vector<int32_t> tokens;  // [CLS] … [SEP], masked
  std::vector<MaskedToken> masked_tokens;
  RegionsView view;
  std::vector<PlacedRegion> regions;
  std::vector<MaskedRegion> masked_regions;

  /// Empties the draft and keeps its memory.
  void clear();

  /// Nothing of the pair is to be predicted.
  void forget_targets();
};

/// Draws rows. Every draw comes from a stream of (seed, epoch, draw), so that a row is the same in any batch.
class Drafter {
 public:
  Drafter(const Dataset& dataset, const Tokenizer& tokenizer, const LoaderOptions& options,
          const std::optional<MaskingOptions>& masking);

  /// Whether the dataset holds the token ids that the tokenizer would give, so that it need not be asked.
  bool token_ids_stored() const { return token_ids_stored_; }

  void draw(SampleDraw drawn, int64_t epoch, Draft& draft) const;

  /// The draw's number among all that an epoch may show. A sample that it shows several times is drawn differently each
  /// time.
  int64_t item_of(SampleDraw drawn) const { return drawn.sample + drawn.copy * dataset_.size(); }

 private:
  void write_title(const SampleView& sample, int64_t title, Draft& draft) const;
  void place_regions(const RegionsView& view, RandomStream random, Draft& draft) const;

  const Dataset& dataset_;
  const Tokenizer& tokenizer_;
  std::optional<MaskingOptions> masking_;
  AugmentationOptions augmentation_;
  SpecialTokens specials_;
  int64_t vocabulary_size_;
  uint64_t seed_;
  size_t max_title_tokens_;
  int64_t max_regions_;
  bool token_ids_stored_;
};

}  // namespace capture
