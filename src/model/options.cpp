#include "capture/model/options.h"

#include "capture/base/config.h"
#include "capture/base/error.h"

namespace capture {

namespace {

constexpr Range<int64_t> kLayers = {0, 256};
constexpr Range<int64_t> kHeads = {1, 1024};
constexpr Range<int64_t> kWidth = {1, 65536};
constexpr Range<double> kProbability = {0.0, 0.9};

/// `of`: the key of the width that the heads share.
void require_divisible(FieldChecker& c, const char* key, int64_t width, int64_t heads, const char* of) {
  c.require(width % heads == 0, key,
            "is " + std::to_string(heads) + ", which does not divide " + of + ", " + std::to_string(width),
            "a divisor of " + std::to_string(width));
}

}  // namespace

void StreamOptions::visit(FieldVisitor& f) {
  f.field("layers", layers, "Transformer layers.", kLayers);
  f.field("heads", heads, "Attention heads; must divide the model's width.", kHeads);
  f.field("feed_forward", feed_forward, "Inner width of the feed-forward part, in the cross layers too.", kWidth);
}

void CrossOptions::visit(FieldVisitor& f) {
  f.field("layers", layers, "Co-attention layers.", kLayers);
  f.field("heads", heads, "Attention heads; must divide the cross width.", kHeads);
  f.field("width", width, "Width of queries, keys and values.", kWidth);
}

void CoTransformerOptions::visit(FieldVisitor& f) {
  f.field("layers", layers, "Blocks over text and regions together.", kLayers);
  f.field("heads", heads, "Attention heads; must divide the model's width.", kHeads);
  f.field("positions", positions, "Rows of the position embedding over tokens and regions.", {2, 65536});
  f.field("first_region", first_region, "Position of the global region; no text may have more tokens.", {1, 65535});
}

void HybridStreamModelOptions::visit(FieldVisitor& f) {
  f.field("width", width, "Width of every stream.", kWidth);
  f.field("projection_width", projection_width, "Width of the contrastive projections and of the outputs.", kWidth);
  f.field("vocabulary_size", vocabulary_size, "Rows of the word embedding; 0: the tokenizer's size.", {0, 10000000});
  f.field("feature_width", feature_width, "Width of a region feature; 0: the data's.", {0, 1000000});
  f.field("region_outputs", region_outputs, "Width of a masked-region prediction (classes); 0: feature_width.",
          {0, 1000000});
  f.field("text_positions", text_positions, "Longest text in tokens, [CLS] and [SEP] included.", {2, 65536});
  f.field("token_types", token_types, "Rows of the type embedding; titles use row 0.", {1, 1024});
  f.field("dropout", dropout, "Dropout of embeddings and of what a layer adds to its stream.", kProbability);
  f.field("attention_dropout", attention_dropout, "Dropout of attention weights in streams and cross layers.",
          kProbability);
  f.field("initializer_range", initializer_range,
          "Standard deviation of the starting weights. 0.02 suits width 768; narrow models start faster with more.",
          {0.0, 10.0});
  f.choice("co_initialisation", co_initialisation,
           "Start of the co-transformer: scaled by width and depth, or normal like the rest.",
           Choices<CoInitialisation>{{"scaled", CoInitialisation::scaled}, {"normal", CoInitialisation::normal}});
  f.section("text", text, "The text stream.");
  f.section("image", image, "The image stream.");
  f.section("cross", cross, "The cross layers between the two streams.");
  f.section("co_transformer", co_transformer, "The joint blocks at the end.");
}

void HybridStreamModelOptions::check(FieldChecker& c) const {
  if (text.layers > 0) require_divisible(c, "text.heads", width, text.heads, "model.width");
  if (image.layers > 0) require_divisible(c, "image.heads", width, image.heads, "model.width");
  if (cross.layers > 0) require_divisible(c, "cross.heads", cross.width, cross.heads, "model.cross.width");
  if (co_transformer.layers > 0) {
    require_divisible(c, "co_transformer.heads", width, co_transformer.heads, "model.width");
    c.require(co_transformer.first_region < co_transformer.positions, "co_transformer.first_region",
              "is " + std::to_string(co_transformer.first_region) + ", a position that does not exist",
              "less than co_transformer.positions, " + std::to_string(co_transformer.positions));
  }
}

void HybridStreamModelOptions::require_positions(int64_t tokens, int64_t regions) const {
  if (tokens > text_positions) {
    throw UserError({.what = "texts of " + std::to_string(tokens) + " tokens are longer than the model's " +
                             std::to_string(text_positions) + " positions",
                     .where = "model.text_positions",
                     .allowed = "at least " + std::to_string(tokens)});
  }
  if (co_transformer.layers == 0) return;
  if (tokens > co_transformer.first_region) {
    throw UserError({.what = "texts of " + std::to_string(tokens) +
                             " tokens run into the regions, which start at position " +
                             std::to_string(co_transformer.first_region),
                     .where = "model.co_transformer.first_region",
                     .allowed = "at least " + std::to_string(tokens)});
  }
  const int64_t needed = co_transformer.first_region + 1 + regions;
  if (needed > co_transformer.positions) {
    throw UserError({.what = std::to_string(regions) + " regions and the global one, from position " +
                             std::to_string(co_transformer.first_region) + " on, are more than the model's " +
                             std::to_string(co_transformer.positions) + " positions",
                     .where = "model.co_transformer.positions",
                     .allowed = "at least " + std::to_string(needed)});
  }
}

bool same_shape(HybridStreamModelOptions a, HybridStreamModelOptions b) {
  a.region_outputs = a.region_prediction_width();
  b.region_outputs = b.region_prediction_width();
  b.dropout = a.dropout;
  b.attention_dropout = a.attention_dropout;
  b.initializer_range = a.initializer_range;
  b.co_initialisation = a.co_initialisation;
  return to_json(a) == to_json(b);
}

}  // namespace capture
