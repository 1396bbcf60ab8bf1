#include "capture/model/embeddings.h"

#include <ATen/ATen.h>

#include "capture/base/error.h"
#include "packed_dropout.h"

namespace capture {

TextEmbeddingImpl::TextEmbeddingImpl(const HybridStreamModelOptions& options)
    : word(register_module("word", Embedding(options.vocabulary_size, options.width))),
      position(register_module("position", Embedding(options.text_positions, options.width))),
      type(register_module("type", Embedding(options.token_types, options.width))),
      norm(register_module("norm", LayerNorm(options.width))),
      dropout_(options.dropout) {}

at::Tensor TextEmbeddingImpl::offsets(int64_t length) const {
  // The two small tables are added once, not once a sample.
  return position->weight.narrow(0, 0, length) + type->weight.narrow(0, 0, 1);
}

at::Tensor TextEmbeddingImpl::forward(const at::Tensor& ids) const {
  const at::Tensor sum = (word->forward(ids) + offsets(ids.size(1))).flatten(0, 1);
  return at::dropout(norm->forward(sum), dropout_, is_training());
}

at::Tensor TextEmbeddingImpl::forward_packed(const at::Tensor& ids, const at::Tensor& places,
                                             const Sequences& sequences) const {
  const at::Tensor sum = word->forward(ids) + at::embedding(offsets(sequences.longest), places);
  return dropout_rows(norm->forward(sum), sequences, dropout_, is_training());
}

RegionEmbeddingImpl::RegionEmbeddingImpl(const HybridStreamModelOptions& options)
    : feature(register_module("feature", Linear(options.feature_width, options.width))),
      location(register_module("location", Linear(5, options.width))),
      norm(register_module("norm", LayerNorm(options.width))),
      dropout_(options.dropout) {}

at::Tensor RegionEmbeddingImpl::forward(const at::Tensor& features, const at::Tensor& locations,
                                        const Sequences& sequences) const {
  const int64_t expected = feature->weight.size(1);
  if (features.size(1) != expected) {
    throw UserError({.what = "region features are " + std::to_string(features.size(1)) +
                             " wide and the model expects " + std::to_string(expected),
                     .where = "model.feature_width",
                     .hint = "use the data that the model was made for"});
  }
  const at::Tensor sum = feature->forward(features) + location->forward(locations);
  return dropout_rows(norm->forward(sum), sequences, dropout_, is_training());
}

}  // namespace capture
