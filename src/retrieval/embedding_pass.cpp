#include "embedding_pass.h"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <array>
#include <tuple>
#include <utility>

#include "capture/base/error.h"
#include "capture/text/tokenizer.h"

namespace capture {

namespace {

constexpr std::array kMembers = {&PairEmbeddings::text_projection, &PairEmbeddings::region_projection,
                                 &PairEmbeddings::text_pooled, &PairEmbeddings::region_pooled};

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
      copier_(device),
      autocast_(device, options.precision),
      packed_(options.packed),
      pooled_(options.pooled) {
  model_->eval();
  if (packed_ && device.is_cpu()) {
    model_->pack(options.precision == Precision::float32 ? at::kFloat : at::kBFloat16, options.weights);
  }
  const auto zeros = [&] { return at::zeros({rows, model->options().projection_width}, at::kFloat); };
  all_ = {zeros(), zeros(), {}, {}};
  if (pooled_) std::tie(all_.text_pooled, all_.region_pooled) = std::tuple(zeros(), zeros());
}

void EmbeddingPass::add(Batch batch, std::span<const int64_t> rows) {
  if (packed_ && !batch.packed) batch.packed = packed(batch.inputs);
  copier_.move(batch);
  const auto embedded = [&](const auto& inputs) { return pooled_ ? model_->embed(inputs) : model_->project(inputs); };
  const PairEmbeddings found =
      batch.packed ? embedded(to(*batch.packed, device_)) : embedded(to(batch.inputs, device_));
  Coming coming = fetch(found, rows);
  place();
  coming_ = std::move(coming);
}

EmbeddingPass::Coming EmbeddingPass::fetch(const PairEmbeddings& found, std::span<const int64_t> rows) const {
  Coming coming{{}, {rows.begin(), rows.end()}, {}};
  const auto count = static_cast<int64_t>(rows.size());
  for (const auto member : kMembers) {
    if (!(found.*member).defined()) continue;
    const at::Tensor values = (found.*member).narrow(0, 0, count);
    const auto there = at::TensorOptions(at::kFloat).pinned_memory(!device_.is_cpu());
    coming.values.*member = at::empty(values.sizes(), there).copy_(values, /*non_blocking=*/true);
  }
  if (device_.is_cpu()) return coming;
  coming.arrived.emplace(device_.type());
  coming.arrived->record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
  return coming;
}

void EmbeddingPass::place() {
  if (!coming_) return;
  if (coming_->arrived) coming_->arrived->synchronize();
  const at::Tensor index = at::tensor(at::IntArrayRef(coming_->rows), at::kLong);
  for (const auto member : kMembers) {
    if ((all_.*member).defined()) (all_.*member).index_copy_(0, index, coming_->values.*member);
  }
  coming_.reset();
}

const PairEmbeddings& EmbeddingPass::result() {
  place();
  return all_;
}

}  // namespace capture
