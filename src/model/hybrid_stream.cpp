#include "capture/model/hybrid_stream.h"

#include <ATen/ATen.h>

#include "capture/base/error.h"
#include "capture/model/attention.h"
#include "capture/model/initialise.h"
#include "half_product.h"
#include "packed_dropout.h"
#include "packed_rows.h"
#include "plain_form.h"

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

}  // namespace

/// The two sides on their way through the model, [rows, W] each, and where their sequences lie.
struct HybridStreamModelImpl::States {
  at::Tensor text;
  at::Tensor regions;
  Sequences text_sequences;
  Sequences region_sequences;
  Sequences joint_sequences;  ///< of a pair's tokens and, behind them, its regions
  JointOrder order;           ///< of a packed batch
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
  const int64_t pairs = batch.size();
  const int64_t tokens = batch.token_ids.size(1);
  const int64_t regions = batch.region_features.size(1);
  options_.require_positions(tokens, regions - 1);
  States states;
  states.text_sequences = {.count = pairs, .longest = tokens};
  states.region_sequences = {.count = pairs, .longest = regions};
  states.joint_sequences = {.count = pairs, .longest = tokens + regions};
  states.text = text_embedding->forward(batch.token_ids);
  states.regions = region_embedding->forward(batch.region_features.flatten(0, 1), batch.region_locations.flatten(0, 1),
                                             states.region_sequences);
  if (batch.text_padded) states.text_sequences.bias = padding_bias(batch.text_mask);
  if (batch.regions_padded) states.region_sequences.bias = padding_bias(batch.region_mask);
  if (!co_transformer->empty() && (batch.text_padded || batch.regions_padded)) {
    states.joint_sequences.bias = padding_bias(at::cat({batch.text_mask, batch.region_mask}, 1));
  }
  return states;
}

HybridStreamModelImpl::States HybridStreamModelImpl::embedded(const PackedBatch& batch) const {
  options_.require_positions(batch.max_tokens, batch.max_regions - 1);
  const int64_t tokens = batch.token_ids.size(0);
  const int64_t regions = batch.region_features.size(0);
  States states;
  states.text_sequences = {.count = batch.size(), .longest = batch.max_tokens, .starts = batch.text_starts};
  states.region_sequences = {.count = batch.size(), .longest = batch.max_regions, .starts = batch.region_starts};
  states.joint_sequences = {.count = batch.size(),
                            .longest = batch.max_tokens + batch.max_regions,
                            .starts = batch.text_starts + batch.region_starts};
  JointOrder& order = states.order;
  if (own_kernels(states.joint_sequences)) {
    order = joint_order(batch.text_starts, batch.region_starts, batch.items);
    const auto streams = order.streams.index_select(0, order.targets).split({tokens, regions});
    states.text_sequences.streams = streams[0];
    states.region_sequences.streams = streams[1];
    states.joint_sequences.streams = order.streams;
  } else {
    order = joint_order_by_operations(batch.text_starts, tokens, batch.region_starts, regions);
  }
  states.text = text_embedding->forward_packed(batch.token_ids, order.token_places, states.text_sequences);
  states.regions = region_embedding->forward(batch.region_features, batch.region_locations, states.region_sequences);
  return states;
}

void HybridStreamModelImpl::run_streams(States& states) const {
  states.text = text_stream->forward(states.text, states.text_sequences);
  states.regions = image_stream->forward(states.regions, states.region_sequences);
}

void HybridStreamModelImpl::run_cross(States& states) const {
  std::tie(states.text, states.regions) =
      cross->forward(states.text, states.regions, states.text_sequences, states.region_sequences);
}

/// From the first row of each sequence, [B, W] a side.
PairEmbeddings HybridStreamModelImpl::projections(const at::Tensor& text, const at::Tensor& regions) const {
  PairEmbeddings embeddings;
  embeddings.text_projection = at::relu(text_projection->forward(text));
  embeddings.region_projection = at::relu(region_projection->forward(regions));
  return embeddings;
}

PairEmbeddings HybridStreamModelImpl::projections(const States& states) const {
  return projections(first_of_each(states.text, states.text_sequences),
                     first_of_each(states.regions, states.region_sequences));
}

/// The co-transformer's input, rows of joint_sequences.
at::Tensor HybridStreamModelImpl::joined(const States& states) const {
  const int64_t tokens = states.text_sequences.longest;
  const int64_t regions = states.region_sequences.longest;
  const at::Tensor token_table = co_position->weight.narrow(0, 0, tokens);
  const at::Tensor region_table = co_position->weight.narrow(0, options_.co_transformer.first_region, regions);
  at::Tensor sum;
  if (states.joint_sequences.packed()) {
    const at::Tensor text = states.text + at::embedding(token_table, states.order.token_places);
    const at::Tensor image = states.regions + at::embedding(region_table, states.order.region_places);
    sum = reorder_rows(at::cat({text, image}), states.order.sources, states.order.targets);
  } else {
    const at::Tensor both = at::cat(
        {by_sequence(states.text, states.text_sequences), by_sequence(states.regions, states.region_sequences)}, 1);
    sum = (both + at::cat({token_table, region_table})).flatten(0, 1);
  }
  return dropout_rows(sum, states.joint_sequences, options_.dropout, is_training());
}

HybridStreamOutput HybridStreamModelImpl::forward(const PairBatch& batch) const {
  const PlainForm plain;
  HybridStreamOutput output;
  States states = embedded(batch);
  const auto text_of = [&] { return by_sequence(states.text, states.text_sequences); };
  const auto regions_of = [&] { return by_sequence(states.regions, states.region_sequences); };
  output.text_embeddings = text_of();
  output.region_embeddings = regions_of();
  run_streams(states);
  output.text_stream = text_of();
  output.region_stream = regions_of();
  output.embeddings = projections(states);

  run_cross(states);
  at::Tensor text = text_of();
  at::Tensor regions = regions_of();
  if (!co_transformer->empty()) {
    const at::Tensor rows =
        co_transformer->forward(joined(states), states.joint_sequences, co_transformer->layers.size());
    const at::Tensor joint = by_sequence(rows, states.joint_sequences);
    text = joint.narrow(1, 0, text.size(1));
    regions = joint.narrow(1, text.size(1), regions.size(1));
  }
  output.text_sequence = at::relu(text_output->forward(text));
  output.region_sequence = at::relu(region_output->forward(regions));
  const bool apart = cross->empty() && co_transformer->empty();
  output.embeddings.text_pooled = apart ? output.embeddings.text_projection : output.text_sequence.select(1, 0);
  output.embeddings.region_pooled = apart ? output.embeddings.region_projection : output.region_sequence.select(1, 0);
  return output;
}

PretrainingOutput HybridStreamModelImpl::pretrain_from(States states, const at::Tensor& token_rows,
                                                       const at::Tensor& region_rows) const {
  run_streams(states);
  const PairEmbeddings embeddings = projections(states);
  run_cross(states);
  at::Tensor text;
  at::Tensor regions;
  if (co_transformer->empty()) {
    text = states.text.index_select(0, token_rows);
    regions = states.regions.index_select(0, region_rows);
  } else {
    const int64_t tokens = states.text_sequences.longest;
    const int64_t count = states.region_sequences.longest;
    const bool packed = states.joint_sequences.packed();
    // Padded, row b·T + t of the tokens is row b·(T + N) + t of the joint sequence; a region's comes T later.
    const at::Tensor in_text = packed ? states.order.targets.index_select(0, token_rows)
                                      : token_rows + at::floor_divide(token_rows, tokens) * count;
    const at::Tensor in_regions = packed ? states.order.targets.index_select(0, region_rows + states.text.size(0))
                                         : region_rows + (at::floor_divide(region_rows, count) + 1) * tokens;
    const size_t before_last = co_transformer->layers.size() - 1;
    const at::Tensor joint = co_transformer->forward(joined(states), states.joint_sequences, before_last);
    const at::Tensor rows = co_transformer->layers[before_last]->forward_rows(joint, states.joint_sequences,
                                                                              at::cat({in_text, in_regions}));
    text = rows.narrow(0, 0, token_rows.size(0));
    regions = rows.narrow(0, token_rows.size(0), region_rows.size(0));
  }
  return {.text_projection = embeddings.text_projection,
          .region_projection = embeddings.region_projection,
          .token_scores = token_scores(at::relu(text_output->forward(text))),
          .region_predictions = region_predictions(at::relu(region_output->forward(regions)))};
}

PretrainingOutput HybridStreamModelImpl::pretrain(const PairBatch& batch, const at::Tensor& token_rows,
                                                  const at::Tensor& region_rows) const {
  const PlainForm plain;
  return pretrain_from(embedded(batch), token_rows, region_rows);
}

PretrainingOutput HybridStreamModelImpl::pretrain(const PackedBatch& batch, const at::Tensor& token_rows,
                                                  const at::Tensor& region_rows) const {
  const HalfWeights halves(half_weights(*this, batch.token_ids.device()));
  return pretrain_from(embedded(batch), token_rows, region_rows);
}

PairEmbeddings HybridStreamModelImpl::embed_from(States states) const {
  if (cross->empty() && co_transformer->empty()) {
    PairEmbeddings embeddings = project_from(std::move(states));
    embeddings.text_pooled = embeddings.text_projection;
    embeddings.region_pooled = embeddings.region_projection;
    return embeddings;
  }
  run_streams(states);
  PairEmbeddings embeddings = projections(states);
  run_cross(states);
  at::Tensor text;
  at::Tensor regions;
  if (co_transformer->empty()) {
    text = first_of_each(states.text, states.text_sequences);
    regions = first_of_each(states.regions, states.region_sequences);
  } else {
    const Sequences& sequences = states.joint_sequences;
    const at::Tensor starts =
        sequences.packed() ? sequences.starts.narrow(0, 0, sequences.count).to(at::kLong)
                           : at::arange(sequences.count, states.text.options().dtype(at::kLong)) * sequences.longest;
    const at::Tensor lengths = sequences.packed() ? states.text_sequences.starts.diff().to(at::kLong)
                                                  : at::full_like(starts, states.text_sequences.longest);
    const size_t before_last = co_transformer->layers.size() - 1;
    const at::Tensor joint = co_transformer->forward(joined(states), sequences, before_last);
    const at::Tensor both = co_transformer->layers[before_last]
                                ->forward_some(joint, sequences, at::stack({starts, starts + lengths}, 1).flatten())
                                .unflatten(0, {sequences.count, 2});
    text = both.select(1, 0);
    regions = both.select(1, 1);
  }
  embeddings.text_pooled = at::relu(text_output->forward(text));
  embeddings.region_pooled = at::relu(region_output->forward(regions));
  return embeddings;
}

PairEmbeddings HybridStreamModelImpl::embed(const PairBatch& batch) const {
  const PlainForm plain;
  return embed_from(embedded(batch));
}

PairEmbeddings HybridStreamModelImpl::embed(const PackedBatch& batch) const {
  const HalfWeights halves(half_weights(*this, batch.token_ids.device()));
  return embed_from(embedded(batch));
}

PairEmbeddings HybridStreamModelImpl::project_from(States states) const {
  // One after the other, as pretrain_from() runs them: dropout of each call is keyed by the order of calls.
  const at::Tensor text = text_stream->forward_first(states.text, states.text_sequences);
  const at::Tensor regions = image_stream->forward_first(states.regions, states.region_sequences);
  return projections(text, regions);
}

PairEmbeddings HybridStreamModelImpl::project(const PairBatch& batch) const {
  const PlainForm plain;
  return project_from(embedded(batch));
}

PairEmbeddings HybridStreamModelImpl::project(const PackedBatch& batch) const {
  const HalfWeights halves(half_weights(*this, batch.token_ids.device()));
  return project_from(embedded(batch));
}

void HybridStreamModelImpl::pack(at::ScalarType type, PackedWeights weights) {
  const auto pack_all = [&](const torch::nn::Module& part) {
    for (const auto& module : part.modules()) {
      if (const auto linear = std::dynamic_pointer_cast<LinearImpl>(module)) linear->pack(type, weights);
    }
  };
  region_embedding->feature->pack(type, weights);
  for (Linear linear : {text_projection, region_projection, text_output, region_output}) linear->pack(type, weights);
  pack_all(*text_stream);
  pack_all(*image_stream);
  pack_all(*cross);
  auto& blocks = co_transformer->layers;
  for (size_t i = 0; i < blocks.size(); ++i) blocks[i]->pack(type, /*for_some=*/i + 1 == blocks.size(), weights);
}

void HybridStreamModelImpl::unpack() {
  for (const auto& module : modules()) {
    if (const auto linear = std::dynamic_pointer_cast<LinearImpl>(module)) linear->unpack();
    if (const auto block = std::dynamic_pointer_cast<CoBlockImpl>(module)) block->unpack();
  }
}

void HybridStreamModelImpl::recompute(Recompute which) {
  co_transformer->recomputes = which != Recompute::none;
  text_stream->recomputes = image_stream->recomputes = cross->recomputes = which == Recompute::all;
}

at::Tensor HybridStreamModelImpl::token_scores(const at::Tensor& text_sequence) const {
  return token_head->forward(text_sequence, text_embedding->word->weight);
}

at::Tensor HybridStreamModelImpl::region_predictions(const at::Tensor& region_sequence) const {
  return region_head->forward(region_sequence);
}

}  // namespace capture
