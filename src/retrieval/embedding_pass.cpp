#include "embedding_pass.h"

#include <ATen/ATen.h>

#include <tuple>

#include "capture/base/error.h"
#include "capture/text/tokenizer.h"

namespace capture {

namespace {

void require_equal(int64_t model, int64_t found, const std::string& what, const std::string& where) {
  if (model == found) return;
  throw UserError({.what = "the model was trained with " + what + " " + std::to_string(model) + ", here it is " +
                           std::to_string(found),
                   .where = where,
                   .allowed = std::to_string(model)});
}

}  // namespace

void require_fit(const HybridStreamModelOptions& model, const Tokenizer& tokenizer, int64_t feature_width,
                 int64_t max_tokens, int64_t max_regions, const std::string& where) {
  require_equal(model.vocabulary_size, tokenizer.vocabulary_size(), "a vocabulary of size", "the tokenizer");
  require_equal(model.feature_width, feature_width, "features of width", where);
  model.require_positions(max_tokens, max_regions);
}

EmbeddingPass::EmbeddingPass(HybridStreamModel& model, at::Device device, const EmbedderOptions& options, int64_t rows)
    : model_(model),
      device_(device),
      autocast_(device, options.precision),
      packed_(options.packed),
      pooled_(options.pooled) {
  model_->eval();
  if (packed_ && device.is_cpu()) model_->pack(options.precision == Precision::float32 ? at::kFloat : at::kBFloat16);
  const auto zeros = [&] { return at::zeros({rows, model->options().projection_width}, at::kFloat); };
  all_ = {zeros(), zeros(), {}, {}};
  if (pooled_) std::tie(all_.text_pooled, all_.region_pooled) = std::tuple(zeros(), zeros());
}

void EmbeddingPass::add(const PairBatch& batch, std::span<const int64_t> rows) {
  if (packed_) {
    add(packed(batch), rows);
    return;
  }
  const PairBatch inputs = to(batch, device_);
  place(pooled_ ? model_->embed(inputs) : model_->project(inputs), rows);
}

void EmbeddingPass::add(const PackedBatch& batch, std::span<const int64_t> rows) {
  const PackedBatch inputs = to(batch, device_);
  place(pooled_ ? model_->embed(inputs) : model_->project(inputs), rows);
}

void EmbeddingPass::place(const PairEmbeddings& found, std::span<const int64_t> rows) {
  const at::Tensor index = at::tensor(at::IntArrayRef(rows.data(), rows.size()), at::kLong);
  const auto put = [&](at::Tensor& all, const at::Tensor& values) {
    all.index_copy_(0, index, values.narrow(0, 0, index.size(0)).to(at::kCPU, at::kFloat));
  };
  put(all_.text_projection, found.text_projection);
  put(all_.region_projection, found.region_projection);
  if (!pooled_) return;
  put(all_.text_pooled, found.text_pooled);
  put(all_.region_pooled, found.region_pooled);
}

}  // namespace capture
