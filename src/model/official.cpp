#include "capture/model/official.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include "capture/base/error.h"
#include "matching.h"

namespace capture {

namespace {

using Parameters = torch::OrderedDict<std::string, at::Tensor>;

/// The part of our parameter that a tensor of theirs is.
at::Tensor part_of(const Parameters& parameters, const OfficialTensor& theirs) {
  const at::Tensor& whole = parameters[theirs.ours];
  const int64_t rows = whole.size(0) / theirs.parts;
  return whole.narrow(0, theirs.part * rows, rows);
}

/// BERT's files have grown a prefix and new names for LayerNorm's parameters over the years.
std::string modern_bert_name(std::string name) {
  const auto end = [&](const std::string& old, const std::string& now) {
    if (name.ends_with(old)) name.replace(name.size() - old.size(), old.size(), now);
  };
  end(".gamma", ".weight");
  end(".beta", ".bias");
  if (name.starts_with("embeddings.") || name.starts_with("encoder.")) name.insert(0, "bert.");
  return name;
}

bool starts_from_bert(const OfficialTensor& theirs) {
  return theirs.name.starts_with("bert.embeddings.") || theirs.name.starts_with("bert.encoder.layer.");
}

bool in_token_head(const OfficialTensor& theirs) {
  return theirs.name.starts_with("cls.predictions.") && !theirs.tied;
}

}  // namespace

HybridStreamModelOptions options_from_official(const JsonDocument& config) {
  const auto at_key = [&](const std::string& key) {
    const auto found = config.origins.find(key);
    return found == config.origins.end() ? key : found->second + ": " + key;
  };
  const auto read = [&](const Json& object, const std::string& prefix, const char* key, int64_t& value) {
    if (!object.contains(key)) return;
    const Json& found = object.at(key);
    if (!found.is_number_unsigned() || found.get<uint64_t>() > uint64_t{1} << 30) {
      throw UserError(
          {.what = "is " + to_line(found), .where = at_key(prefix + key), .allowed = "a whole number from 0 to 2^30"});
    }
    value = found.get<int64_t>();
  };
  const Json& root = config.root;
  if (!root.is_object()) throw UserError({.what = "is not a JSON object", .where = at_key("")});

  HybridStreamModelOptions options;
  read(root, "", "hidden_size", options.width);
  read(root, "", "vocab_size", options.vocabulary_size);
  read(root, "", "max_position_embeddings", options.text_positions);
  read(root, "", "type_vocab_size", options.token_types);
  read(root, "", "num_hidden_layers", options.text.layers);
  read(root, "", "num_attention_heads", options.text.heads);
  read(root, "", "intermediate_size", options.text.feed_forward);
  read(root, "", "v_num_hidden_layers", options.image.layers);
  read(root, "", "v_num_attention_heads", options.image.heads);
  read(root, "", "v_intermediate_size", options.image.feed_forward);
  read(root, "", "v_feature_size", options.feature_width);
  read(root, "", "v_target_size", options.region_outputs);
  read(root, "", "co_num_layers", options.co_transformer.layers);
  if (root.contains("v_biattention_id"))
    options.cross.layers = static_cast<int64_t>(root.at("v_biattention_id").size());
  read(root, "", "bi_num_attention_heads", options.cross.heads);
  read(root, "", "bi_hidden_size", options.cross.width);
  options.projection_width = options.cross.width;
  int64_t image_width = options.width;
  int64_t joint_width = options.width;
  read(root, "", "v_hidden_size", image_width);
  if (root.contains("cross_config") && root.at("cross_config").is_object()) {
    const Json& joint = root.at("cross_config");
    read(joint, "cross_config.", "hidden_size", joint_width);
    read(joint, "cross_config.", "num_hidden_layers", options.co_transformer.layers);
    read(joint, "cross_config.", "num_attention_heads", options.co_transformer.heads);
    read(joint, "cross_config.", "max_position_embeddings", options.co_transformer.positions);
  }
  for (const auto& [width, key] :
       {std::pair(image_width, "v_hidden_size"), {joint_width, "cross_config.hidden_size"}}) {
    if (width == options.width) continue;
    throw UserError({.what = "is " + std::to_string(width) + ", and both streams end in one sequence",
                     .where = at_key(key),
                     .allowed = "hidden_size, which is " + std::to_string(options.width)});
  }
  if (options.region_outputs == options.feature_width) options.region_outputs = 0;
  return options;
}

HybridStreamModelOptions with_layers_of(const SafetensorsFile& file, HybridStreamModelOptions options) {
  const RenamedTensors tensors(file, without_parallel_prefix(file));
  const auto names = tensors.names();
  const auto count = [&](const std::string& stack) {
    int64_t layers = 0;
    const auto has_layer = [&](const std::string& name) {
      return name.starts_with(stack + std::to_string(layers) + ".");
    };
    while (std::any_of(names.begin(), names.end(), has_layer)) ++layers;
    return layers;
  };
  options.text.layers = count("bert.encoder.layer.");
  options.image.layers = count("bert.encoder.v_layer.");
  options.cross.layers = count("bert.encoder.c_layer.");
  options.co_transformer.layers = count("bert.cross_encoder.transformer.resblocks.");
  return options;
}

void import_official(const SafetensorsFile& file, HybridStreamModelImpl& model) {
  const RenamedTensors tensors(file, without_parallel_prefix(file));
  const auto layout = official_layout(model.options());
  Mismatch mismatch(tensors);
  for (const OfficialTensor& theirs : layout) {
    mismatch.expect(theirs.name, theirs.shape, /*may_be_missing=*/theirs.ours.empty() || theirs.tied);
  }
  mismatch.refuse_unexpected();
  mismatch.throw_if_any("check that the options (--official-config or --config) describe this checkpoint");

  const at::NoGradGuard no_grad;
  const Parameters parameters = model.named_parameters();
  for (const OfficialTensor& theirs : layout) {
    if (theirs.ours.empty() || theirs.tied) continue;
    part_of(parameters, theirs).copy_(tensors.tensor(theirs.name));
  }
  for (const OfficialTensor& theirs : layout) {
    if (!theirs.tied || !tensors.contains(theirs.name)) continue;
    const at::Tensor word = tensors.tensor("bert.embeddings.word_embeddings.weight");
    if (!at::equal(tensors.tensor(theirs.name), word)) {
      throw UserError({.what = theirs.name + " differs from bert.embeddings.word_embeddings.weight",
                       .where = file.path().string(),
                       .allowed = "the same numbers: the two are tied in the model"});
    }
  }
}

std::vector<std::pair<std::string, at::Tensor>> export_official(const HybridStreamModelImpl& model) {
  const Parameters parameters = model.named_parameters();
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const OfficialTensor& theirs : official_layout(model.options())) {
    tensors.emplace_back(theirs.name,
                         theirs.ours.empty() ? at::zeros(theirs.shape) : part_of(parameters, theirs).detach());
  }
  return tensors;
}

std::vector<std::string> initialise_from_bert(const SafetensorsFile& file, HybridStreamModelImpl& model) {
  const auto without_prefix = without_parallel_prefix(file);
  const RenamedTensors tensors(file, [&](const std::string& name) { return modern_bert_name(without_prefix(name)); });
  std::vector<OfficialTensor> wanted;
  Mismatch mismatch(tensors);
  for (const OfficialTensor& theirs : official_layout(model.options())) {
    if (!starts_from_bert(theirs) && !in_token_head(theirs)) continue;
    if (mismatch.expect(theirs.name, theirs.shape, /*may_be_missing=*/in_token_head(theirs))) wanted.push_back(theirs);
  }
  mismatch.throw_if_any("the model's width, text layers and vocabulary_size must be those of this BERT");

  const at::NoGradGuard no_grad;
  const Parameters parameters = model.named_parameters();
  std::set<std::string> names;
  for (const OfficialTensor& theirs : wanted) {
    part_of(parameters, theirs).copy_(tensors.tensor(theirs.name));
    names.insert(theirs.ours);
  }
  return {names.begin(), names.end()};
}

}  // namespace capture
