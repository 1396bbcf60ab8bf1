// Which tokens and regions are hidden from the model (SPEC: 15 %, BERT's 80/10/10 for tokens, 90/10 for regions).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "capture/base/fields.h"
#include "capture/tensor/random.h"
#include "capture/text/tokenizer.h"

namespace capture {

struct MaskingOptions {
  double token_probability = 0.15;
  double token_mask_share = 0.8;    ///< of the chosen tokens: replaced by [MASK]
  double token_random_share = 0.1;  ///< replaced by a random vocabulary token; the rest is kept
  double region_probability = 0.15;
  double region_zero_share = 0.9;  ///< of the chosen regions: feature zeroed; the rest is kept

  void visit(FieldVisitor& f);
  void check(FieldChecker& c) const;
};

/// A token chosen for prediction: where it stands, and what stood there.
struct MaskedToken {
  int32_t position;
  int32_t token;
};

/// A region chosen for prediction.
struct MaskedRegion {
  int32_t region;
  bool zeroed;
};

/// Masks the tokens of one text in place; [CLS], [SEP] and padding are never chosen. A random replacement is uniform
/// over the whole vocabulary, special tokens included, as in BERT. Appends to `masked`, by position.
void mask_tokens(const MaskingOptions& options, RandomStream& random, const SpecialTokens& specials,
                 int64_t vocabulary_size, std::span<int32_t> tokens, std::vector<MaskedToken>& masked);

/// Chooses among `regions` valid regions (the global one not counted). Appends to `masked`, by region.
void mask_regions(const MaskingOptions& options, RandomStream& random, int64_t regions,
                  std::vector<MaskedRegion>& masked);

}  // namespace capture
