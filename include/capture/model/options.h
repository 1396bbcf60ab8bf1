// The sizes of a HybridStreamModel. A default-constructed struct is the paper's full-size model.
#pragma once

#include <cstdint>

#include "capture/base/fields.h"

namespace capture {

/// A stack of post-LayerNorm transformer layers over one modality.
struct StreamOptions {
  int64_t layers = 4;
  int64_t heads = 12;
  int64_t feed_forward = 3072;  ///< inner width; the cross layers use the same for this modality

  void visit(FieldVisitor& f);
};

/// Co-attention layers: text queries attend to regions and region queries to text.
struct CrossOptions {
  int64_t layers = 4;
  int64_t heads = 8;
  int64_t width = 512;  ///< of queries, keys and values

  void visit(FieldVisitor& f);
};

/// Pre-LayerNorm blocks over [text; regions] together.
struct CoTransformerOptions {
  int64_t layers = 6;
  int64_t heads = 8;
  int64_t positions = 512;  ///< rows of the position embedding
  /// Position of the global region; tokens take the positions before it. It is fixed, so that a pair's result does not
  /// depend on how far its text was padded; the published code pads every text to 36 tokens instead.
  int64_t first_region = 36;

  void visit(FieldVisitor& f);
};

/// How the weights of the co-transformer start; everything else starts from a normal distribution of deviation 0.02.
enum class CoInitialisation {
  scaled,  ///< by width and depth, as the paper's model defines them
  normal,  ///< 0.02 as well, which is what the published code ends up with
};

/// Which layers keep nothing but their inputs for the backward pass, and are computed a second time there: memory for
/// time. It changes no number.
enum class Recompute {
  none,
  co_transformer,  ///< its blocks but the last
  all,             ///< the layers of the streams and the cross layers too
};

struct HybridStreamModelOptions {
  int64_t width = 768;
  int64_t projection_width = 512;   ///< of the contrastive projections and of the outputs
  int64_t vocabulary_size = 21128;  ///< 0 in a config: the tokenizer's
  int64_t feature_width = 2048;     ///< of a region feature; 0 in a config: the data's
  int64_t region_outputs = 0;       ///< width of the masked-region predictions; 0: feature_width
  int64_t text_positions = 512;     ///< longest text
  int64_t token_types = 2;          ///< rows of the type embedding; a title is all type 0
  double dropout = 0.1;             ///< of embeddings and of what a layer adds to its stream
  double attention_dropout = 0.1;   ///< of attention weights, in the streams and the cross layers
  double initializer_range = 0.02;  ///< deviation of the starting weights, but for the co-transformer's when scaled
  CoInitialisation co_initialisation = CoInitialisation::scaled;
  StreamOptions text = {.layers = 4, .heads = 12, .feed_forward = 3072};
  StreamOptions image = {.layers = 4, .heads = 8, .feed_forward = 1024};
  CrossOptions cross;
  CoTransformerOptions co_transformer;

  void visit(FieldVisitor& f);
  void check(FieldChecker& c) const;

  /// region_outputs with its 0 resolved.
  int64_t region_prediction_width() const { return region_outputs == 0 ? feature_width : region_outputs; }

  /// UserError, naming the key, unless the model has positions for this many tokens and regions (without the global).
  void require_positions(int64_t tokens, int64_t regions) const;
};

/// Whether two models have the same shapes (dropout and initialisation may differ).
bool same_shape(HybridStreamModelOptions a, HybridStreamModelOptions b);

}  // namespace capture
