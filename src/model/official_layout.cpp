// The correspondence of names, written once; counting, import, export and the start from BERT all read it.
#include <ATen/ATen.h>

#include <functional>
#include <numeric>

#include "capture/model/official.h"

namespace capture {

namespace {

class Layout {
 public:
  explicit Layout(const HybridStreamModelOptions& options) : options_(options), width_(options.width) {}

  std::vector<OfficialTensor> build() {
    embeddings();
    for (int64_t i = 0; i < options_.text.layers; ++i) {
      layer("bert.encoder.layer." + std::to_string(i), "text_stream." + std::to_string(i), options_.text.feed_forward);
    }
    for (int64_t i = 0; i < options_.image.layers; ++i) {
      layer("bert.encoder.v_layer." + std::to_string(i), "image_stream." + std::to_string(i),
            options_.image.feed_forward);
    }
    for (int64_t i = 0; i < options_.cross.layers; ++i) {
      cross_layer("bert.encoder.c_layer." + std::to_string(i), "cross." + std::to_string(i));
    }
    linear("bert.encoder.t_pooler.dense", "text_projection", options_.projection_width, width_);
    linear("bert.encoder.v_pooler.dense", "region_projection", options_.projection_width, width_);
    co_transformer();
    linear("bert.t_fc.dense", "text_output", options_.projection_width, width_);
    linear("bert.v_fc.dense", "region_output", options_.projection_width, width_);
    heads();
    return std::move(tensors_);
  }

 private:
  void put(const std::string& name, const std::string& ours, std::vector<int64_t> shape, int64_t part = 0,
           int64_t parts = 1) {
    tensors_.push_back({name, std::move(shape), ours, part, parts, false});
  }

  /// A weight and a bias; ours empty: an unused layer.
  void linear(const std::string& name, const std::string& ours, int64_t outputs, int64_t inputs, int64_t part = 0,
              int64_t parts = 1) {
    put(name + ".weight", ours.empty() ? "" : ours + ".weight", {outputs, inputs}, part, parts);
    put(name + ".bias", ours.empty() ? "" : ours + ".bias", {outputs}, part, parts);
  }

  void norm(const std::string& name, const std::string& ours) {
    put(name + ".weight", ours.empty() ? "" : ours + ".weight", {width_});
    put(name + ".bias", ours.empty() ? "" : ours + ".bias", {width_});
  }

  void feed_forward(const std::string& up, const std::string& down, const std::string& ours, int64_t inner) {
    linear(up + ".dense", ours + ".up", inner, width_);
    linear(down + ".dense", ours + ".down", width_, inner);
    norm(down + ".LayerNorm", ours + ".norm");
  }

  void embeddings() {
    const std::string text = "bert.embeddings.";
    put(text + "word_embeddings.weight", "text_embedding.word.weight", {options_.vocabulary_size, width_});
    put(text + "position_embeddings.weight", "text_embedding.position.weight", {options_.text_positions, width_});
    put(text + "token_type_embeddings.weight", "text_embedding.type.weight", {options_.token_types, width_});
    norm(text + "LayerNorm", "text_embedding.norm");
    const std::string image = "bert.v_embeddings.";
    linear(image + "image_embeddings", "region_embedding.feature", width_, options_.feature_width);
    linear(image + "image_location_embeddings", "region_embedding.location", width_, 5);
    norm(image + "LayerNorm", "region_embedding.norm");
  }

  void layer(const std::string& name, const std::string& ours, int64_t inner) {
    int64_t part = 0;
    for (const char* role : {"query", "key", "value"}) {
      linear(name + ".attention.self." + role, ours + ".qkv", width_, width_, part++, 3);
    }
    linear(name + ".attention.output.dense", ours + ".out", width_, width_);
    norm(name + ".attention.output.LayerNorm", ours + ".norm");
    feed_forward(name + ".intermediate", name + ".output", ours + ".feed_forward", inner);
  }

  void cross_layer(const std::string& name, const std::string& ours) {
    const struct {
      std::string number, letter, side;
      int64_t inner;
    } sides[] = {{"1", "v", ".image", options_.image.feed_forward}, {"2", "t", ".text", options_.text.feed_forward}};
    for (const auto& [number, letter, side, inner] : sides) {
      int64_t part = 0;
      for (const char* role : {"query", "key", "value"}) {
        linear(name + ".biattention." + role + number, ours + side + ".qkv", options_.cross.width, width_, part++, 3);
      }
      const std::string output = name + ".biOutput.";
      linear(output + "dense" + number, ours + side + ".out", width_, options_.cross.width);
      norm(output + "LayerNorm" + number, ours + side + ".norm");
      linear(output + "q_dense" + number, "", width_, options_.cross.width);
      feed_forward(name + "." + letter + "_intermediate", name + "." + letter + "_output",
                   ours + side + ".feed_forward", inner);
    }
  }

  void co_transformer() {
    const std::string joint = "bert.cross_encoder.";
    put(joint + "embeddings.position_embeddings.weight", options_.co_transformer.layers > 0 ? "co_position.weight" : "",
        {options_.co_transformer.positions, width_});
    for (int64_t i = 0; i < options_.co_transformer.layers; ++i) {
      const std::string name = joint + "transformer.resblocks." + std::to_string(i);
      const std::string ours = "co_transformer." + std::to_string(i);
      put(name + ".attn.in_proj_weight", ours + ".qkv.weight", {3 * width_, width_});
      put(name + ".attn.in_proj_bias", ours + ".qkv.bias", {3 * width_});
      linear(name + ".attn.out_proj", ours + ".out", width_, width_);
      norm(name + ".ln_1", ours + ".norm_1");
      linear(name + ".mlp.c_fc", ours + ".up", 4 * width_, width_);
      linear(name + ".mlp.c_proj", ours + ".down", width_, 4 * width_);
      norm(name + ".ln_2", ours + ".norm_2");
    }
    norm(joint + "pooler.ln_pool", "");
    linear(joint + "pooler.dense", "", width_, width_);
  }

  void heads() {
    linear("cls.t_fc", "token_head.transform.expand", width_, options_.projection_width);
    linear("cls.v_fc", "region_head.transform.expand", width_, options_.projection_width);
    put("cls.predictions.bias", "token_head.bias", {options_.vocabulary_size});
    linear("cls.predictions.transform.dense", "token_head.transform.dense", width_, width_);
    norm("cls.predictions.transform.LayerNorm", "token_head.transform.norm");
    put("cls.predictions.decoder.weight", "text_embedding.word.weight", {options_.vocabulary_size, width_});
    tensors_.back().tied = true;
    linear("cls.imagePredictions.transform.dense", "region_head.transform.dense", width_, width_);
    norm("cls.imagePredictions.transform.LayerNorm", "region_head.transform.norm");
    linear("cls.imagePredictions.decoder", "region_head.decoder", options_.region_prediction_width(), width_);
  }

  const HybridStreamModelOptions& options_;
  int64_t width_;
  std::vector<OfficialTensor> tensors_;
};

int64_t product(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

}  // namespace

std::vector<OfficialTensor> official_layout(const HybridStreamModelOptions& options) {
  return Layout(options).build();
}

std::vector<ParameterShape> parameter_layout(const HybridStreamModelOptions& options) {
  std::vector<ParameterShape> parameters;
  for (const OfficialTensor& theirs : official_layout(options)) {
    if (theirs.ours.empty() || theirs.tied || theirs.part > 0) continue;
    parameters.push_back({theirs.ours, theirs.shape});
    parameters.back().shape[0] *= theirs.parts;
  }
  return parameters;
}

int64_t parameter_count(const HybridStreamModelOptions& options) {
  int64_t count = 0;
  for (const ParameterShape& parameter : parameter_layout(options)) count += product(parameter.shape);
  return count;
}

int64_t official_parameter_count(const HybridStreamModelOptions& options) {
  int64_t count = 0;
  for (const OfficialTensor& theirs : official_layout(options)) {
    if (!theirs.tied) count += product(theirs.shape);
  }
  return count;
}

}  // namespace capture
