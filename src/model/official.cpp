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

// What HybridStreamModelOptions can be, too.
constexpr int64_t kMostWidth = 65536;
constexpr int64_t kMostLayers = 256;
constexpr int64_t kMostHeads = 1024;
constexpr int64_t kMostTypes = 1024;
constexpr int64_t kMostWords = 10'000'000;

/// The published configuration's sizes, by its own keys; what it does not say stays as it is.
class OfficialSizes {
 public:
  explicit OfficialSizes(const JsonDocument& config) : OfficialSizes(config, config.root, "") {
    if (!config.root.is_object()) throw UserError({.what = "is not a JSON object", .where = place_of("")});
  }

  OfficialSizes under(const std::string& key) const { return {config_, object_.at(key), prefix_ + key + "."}; }

  void read(const char* key, int64_t most, int64_t& value) const {
    if (!object_.contains(key)) return;
    const Json& found = object_.at(key);
    require(key, found.is_number_unsigned() && found.get<uint64_t>() <= static_cast<uint64_t>(most), to_line(found),
            "a whole number from 0 to " + std::to_string(most));
    value = found.get<int64_t>();
  }

  /// How many entries a list has.
  void count(const char* key, int64_t most, int64_t& value) const {
    if (!object_.contains(key)) return;
    const Json& found = object_.at(key);
    require(key, found.is_array() && found.size() <= static_cast<size_t>(most), to_line(found),
            "a list of at most " + std::to_string(most) + " numbers");
    value = static_cast<int64_t>(found.size());
  }

  /// Both streams end in one sequence.
  void require_same(const char* key, int64_t width, int64_t hidden_size) const {
    require(key, width == hidden_size, std::to_string(width) + ", and both streams end in one sequence",
            "hidden_size, which is " + std::to_string(hidden_size));
  }

 private:
  OfficialSizes(const JsonDocument& config, const Json& object, std::string prefix)
      : config_(config), object_(object), prefix_(std::move(prefix)) {}

  std::string place_of(const std::string& key) const {
    const auto found = config_.origins.find(key);
    return found == config_.origins.end() ? key : found->second + ": " + key;
  }

  void require(const std::string& key, bool ok, const std::string& found, const std::string& allowed) const {
    if (!ok) throw UserError({.what = "is " + found, .where = place_of(prefix_ + key), .allowed = allowed});
  }

  const JsonDocument& config_;
  const Json& object_;
  std::string prefix_;
};

}  // namespace

HybridStreamModelOptions options_from_official(const JsonDocument& config) {
  const OfficialSizes sizes(config);
  HybridStreamModelOptions options;
  sizes.read("hidden_size", kMostWidth, options.width);
  sizes.read("vocab_size", kMostWords, options.vocabulary_size);
  sizes.read("max_position_embeddings", kMostWidth, options.text_positions);
  sizes.read("type_vocab_size", kMostTypes, options.token_types);
  sizes.read("num_hidden_layers", kMostLayers, options.text.layers);
  sizes.read("num_attention_heads", kMostHeads, options.text.heads);
  sizes.read("intermediate_size", kMostWidth, options.text.feed_forward);
  sizes.read("v_num_hidden_layers", kMostLayers, options.image.layers);
  sizes.read("v_num_attention_heads", kMostHeads, options.image.heads);
  sizes.read("v_intermediate_size", kMostWidth, options.image.feed_forward);
  sizes.read("v_feature_size", kMostWidth, options.feature_width);
  sizes.read("v_target_size", kMostWidth, options.region_outputs);
  sizes.read("co_num_layers", kMostLayers, options.co_transformer.layers);
  sizes.count("v_biattention_id", kMostLayers, options.cross.layers);
  sizes.read("bi_num_attention_heads", kMostHeads, options.cross.heads);
  sizes.read("bi_hidden_size", kMostWidth, options.cross.width);
  options.projection_width = options.cross.width;
  int64_t image_width = options.width, joint_width = options.width;
  sizes.read("v_hidden_size", kMostWidth, image_width);
  if (config.root.contains("cross_config") && config.root.at("cross_config").is_object()) {
    const OfficialSizes joint = sizes.under("cross_config");
    joint.read("hidden_size", kMostWidth, joint_width);
    joint.read("num_hidden_layers", kMostLayers, options.co_transformer.layers);
    joint.read("num_attention_heads", kMostHeads, options.co_transformer.heads);
    joint.read("max_position_embeddings", kMostWidth, options.co_transformer.positions);
  }
  sizes.require_same("v_hidden_size", image_width, options.width);
  sizes.require_same("cross_config.hidden_size", joint_width, options.width);
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
