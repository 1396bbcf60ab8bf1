#include "capture/model/hybrid_stream.h"

#include <ATen/ATen.h>

#include "capture/base/error.h"
#include "capture/model/attention.h"
#include "capture/model/initialise.h"

namespace capture {

namespace {

/// Options built in code never passed through a config reader: their contradictions must be told all the same.
class Refusing : public FieldChecker {
 public:
  void require(bool ok, const std::string& key, const std::string& what, const std::string& allowed) override {
    if (!ok) throw UserError({.what = what, .where = "model." + key, .allowed = allowed});
  }
};

const HybridStreamModelOptions& checked(const HybridStreamModelOptions& options) {
  Refusing refusing;
  options.check(refusing);
  refusing.require(options.vocabulary_size > 0, "vocabulary_size", "is still open", "the tokenizer's size");
  refusing.require(options.feature_width > 0, "feature_width", "is still open", "the width of the data's features");
  return options;
}

LayerOptions layer_options(const HybridStreamModelOptions& options, const StreamOptions& stream) {
  return {.width = options.width,
          .heads = stream.heads,
          .feed_forward = stream.feed_forward,
          .dropout = options.dropout,
          .attention_dropout = options.attention_dropout};
}

CrossLayerOptions cross_options(const HybridStreamModelOptions& options) {
  CrossLayerOptions cross{layer_options(options, options.text), layer_options(options, options.image),
                          options.cross.width};
  cross.text.heads = options.cross.heads;
  cross.image.heads = options.cross.heads;
  return cross;
}

at::Tensor first(const at::Tensor& states) {
  return states.select(1, 0);
}

}  // namespace

/// The two sides on their way through the model, and what hides their padding (undefined where there is none).
struct HybridStreamModelImpl::States {
  at::Tensor text;
  at::Tensor regions;
  at::Tensor text_bias;
  at::Tensor region_bias;
  at::Tensor joint_bias;
};

HybridStreamModelImpl::HybridStreamModelImpl(const HybridStreamModelOptions& options, std::optional<uint64_t> seed)
    : text_embedding(register_module("text_embedding", TextEmbedding(checked(options)))),
      region_embedding(register_module("region_embedding", RegionEmbedding(options))),
      text_stream(register_module("text_stream", Stream(options.text.layers, layer_options(options, options.text)))),
      image_stream(
          register_module("image_stream", Stream(options.image.layers, layer_options(options, options.image)))),
      text_projection(register_module("text_projection", Linear(options.width, options.projection_width))),
      region_projection(register_module("region_projection", Linear(options.width, options.projection_width))),
      cross(register_module("cross", CrossStream(options.cross.layers, cross_options(options)))),
      co_transformer(register_module(
          "co_transformer",
          CoStack(options.co_transformer.layers, CoBlockOptions{options.width, options.co_transformer.heads}))),
      text_output(register_module("text_output", Linear(options.width, options.projection_width))),
      region_output(register_module("region_output", Linear(options.width, options.projection_width))),
      token_head(register_module("token_head", TokenHead(options))),
      region_head(register_module("region_head", RegionHead(options))),
      options_(options) {
  if (options.co_transformer.layers > 0) {
    co_position = register_module("co_position", Embedding(options.co_transformer.positions, options.width));
  }
  if (seed) initialise(*this, *seed);
}

HybridStreamModelImpl::States HybridStreamModelImpl::embedded(const PairBatch& batch) const {
  options_.require_positions(batch.token_ids.size(1), batch.region_features.size(1) - 1);
  States states;
  states.text = text_embedding->forward(batch.token_ids);
  states.regions = region_embedding->forward(batch.region_features, batch.region_locations);
  if (batch.text_padded) states.text_bias = padding_bias(batch.text_mask);
  if (batch.regions_padded) states.region_bias = padding_bias(batch.region_mask);
  if (!co_transformer->empty() && (batch.text_padded || batch.regions_padded)) {
    states.joint_bias = padding_bias(at::cat({batch.text_mask, batch.region_mask}, 1));
  }
  return states;
}

void HybridStreamModelImpl::run_streams(States& states) const {
  states.text = text_stream->forward(states.text, states.text_bias);
  states.regions = image_stream->forward(states.regions, states.region_bias);
}

PairEmbeddings HybridStreamModelImpl::projections(const States& states) const {
  PairEmbeddings embeddings;
  embeddings.text_projection = at::relu(text_projection->forward(first(states.text)));
  embeddings.region_projection = at::relu(region_projection->forward(first(states.regions)));
  return embeddings;
}

/// The co-transformer's input, [B, T + 1 + R, W].
at::Tensor HybridStreamModelImpl::joined(const States& states) const {
  const int64_t tokens = states.text.size(1);
  const int64_t regions = states.regions.size(1);
  const int64_t first_region = options_.co_transformer.first_region;
  const at::Tensor& table = co_position->weight;
  const at::Tensor places = at::cat({table.narrow(0, 0, tokens), table.narrow(0, first_region, regions)});
  const at::Tensor sum = at::cat({states.text, states.regions}, 1) + places;
  return at::dropout(sum, options_.dropout, is_training());
}

HybridStreamOutput HybridStreamModelImpl::forward(const PairBatch& batch) const {
  HybridStreamOutput output;
  States states = embedded(batch);
  output.text_embeddings = states.text;
  output.region_embeddings = states.regions;
  run_streams(states);
  output.text_stream = states.text;
  output.region_stream = states.regions;
  output.embeddings = projections(states);

  std::tie(states.text, states.regions) =
      cross->forward(states.text, states.regions, states.text_bias, states.region_bias);
  if (!co_transformer->empty()) {
    const int64_t tokens = states.text.size(1);
    const int64_t regions = states.regions.size(1);
    const at::Tensor joint = co_transformer->forward(joined(states), states.joint_bias, co_transformer->layers.size());
    states.text = joint.narrow(1, 0, tokens);
    states.regions = joint.narrow(1, tokens, regions);
  }
  output.text_sequence = at::relu(text_output->forward(states.text));
  output.region_sequence = at::relu(region_output->forward(states.regions));
  const bool apart = cross->empty() && co_transformer->empty();
  output.embeddings.text_pooled = apart ? output.embeddings.text_projection : first(output.text_sequence);
  output.embeddings.region_pooled = apart ? output.embeddings.region_projection : first(output.region_sequence);
  return output;
}

PretrainingOutput HybridStreamModelImpl::pretrain(const PairBatch& batch, const at::Tensor& token_rows,
                                                  const at::Tensor& region_rows) const {
  States states = embedded(batch);
  run_streams(states);
  const PairEmbeddings embeddings = projections(states);
  std::tie(states.text, states.regions) =
      cross->forward(states.text, states.regions, states.text_bias, states.region_bias);

  at::Tensor text;
  at::Tensor regions;
  if (co_transformer->empty()) {
    text = states.text.flatten(0, 1).index_select(0, token_rows);
    regions = states.regions.flatten(0, 1).index_select(0, region_rows);
  } else {
    // Row b·T + t of the tokens is row b·(T + N) + t of the joint sequence; a region's comes T later.
    const int64_t tokens = states.text.size(1);
    const int64_t count = states.regions.size(1);
    const at::Tensor in_text = token_rows + at::floor_divide(token_rows, tokens) * count;
    const at::Tensor in_regions = region_rows + (at::floor_divide(region_rows, count) + 1) * tokens;
    const size_t before_last = co_transformer->layers.size() - 1;
    const at::Tensor joint = co_transformer->forward(joined(states), states.joint_bias, before_last);
    const at::Tensor rows =
        co_transformer->layers[before_last]->forward_rows(joint, states.joint_bias, at::cat({in_text, in_regions}));
    text = rows.narrow(0, 0, token_rows.size(0));
    regions = rows.narrow(0, token_rows.size(0), region_rows.size(0));
  }
  return {.text_projection = embeddings.text_projection,
          .region_projection = embeddings.region_projection,
          .token_scores = token_scores(at::relu(text_output->forward(text))),
          .region_predictions = region_predictions(at::relu(region_output->forward(regions)))};
}

PairEmbeddings HybridStreamModelImpl::embed(const PairBatch& batch) const {
  if (cross->empty() && co_transformer->empty()) {
    PairEmbeddings embeddings = project(batch);
    embeddings.text_pooled = embeddings.text_projection;
    embeddings.region_pooled = embeddings.region_projection;
    return embeddings;
  }
  States states = embedded(batch);
  run_streams(states);
  PairEmbeddings embeddings = projections(states);
  std::tie(states.text, states.regions) =
      cross->forward(states.text, states.regions, states.text_bias, states.region_bias);
  at::Tensor text = first(states.text);
  at::Tensor regions = first(states.regions);
  if (!co_transformer->empty()) {
    const size_t before_last = co_transformer->layers.size() - 1;
    const at::Tensor joint = co_transformer->forward(joined(states), states.joint_bias, before_last);
    const at::Tensor both =
        co_transformer->layers[before_last]->forward_positions(joint, states.joint_bias, {0, states.text.size(1)});
    text = both.select(1, 0);
    regions = both.select(1, 1);
  }
  embeddings.text_pooled = at::relu(text_output->forward(text));
  embeddings.region_pooled = at::relu(region_output->forward(regions));
  return embeddings;
}

PairEmbeddings HybridStreamModelImpl::project(const PairBatch& batch) const {
  States states = embedded(batch);
  states.text = text_stream->forward_first(states.text, states.text_bias);
  states.regions = image_stream->forward_first(states.regions, states.region_bias);
  return projections(states);
}

void HybridStreamModelImpl::pack(at::ScalarType type) {
  const auto pack_all = [&](const torch::nn::Module& part) {
    for (const auto& module : part.modules()) {
      if (const auto linear = std::dynamic_pointer_cast<LinearImpl>(module)) linear->pack(type);
    }
  };
  region_embedding->feature->pack(type);
  for (Linear linear : {text_projection, region_projection, text_output, region_output}) linear->pack(type);
  pack_all(*text_stream);
  pack_all(*image_stream);
  pack_all(*cross);
  auto& blocks = co_transformer->layers;
  for (size_t i = 0; i < blocks.size(); ++i) blocks[i]->pack(type, /*for_positions=*/i + 1 == blocks.size());
}

at::Tensor HybridStreamModelImpl::token_scores(const at::Tensor& text_sequence) const {
  return token_head->forward(text_sequence, text_embedding->word->weight);
}

at::Tensor HybridStreamModelImpl::region_predictions(const at::Tensor& region_sequence) const {
  return region_head->forward(region_sequence);
}

}  // namespace capture
