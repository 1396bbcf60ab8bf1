#include "capture/retrieval/embedder.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <unordered_set>
#include <utility>

#include "capture/base/error.h"
#include "capture/base/text_lines.h"
#include "capture/data/loader.h"
#include "capture/retrieval/recipe.h"
#include "capture/tensor/safetensors.h"
#include "embedding_pass.h"

namespace capture {

namespace {

/// Titles are sorted by length within so many batches: little padding, and still a read through the shards in order.
constexpr int64_t kSortedBatches = 32;

std::string name_of(const Dataset& dataset) {
  return dataset.shards().front().path().string();
}

/// A single line of printable text: what a ranking or a list can hold.
void check_id(const ListedProduct& product) {
  if (!product.id.empty() && strip(product.id) == product.id &&
      product.id.find_first_of(",\r\n") == std::string::npos) {
    return;
  }
  throw UserError({.what = "the id '" + product.id + "' cannot stand in a ranking",
                   .where = product.where,
                   .allowed = "ids without commas, line breaks, or white space at their ends"});
}

}  // namespace

int64_t kept_regions(const Dataset& dataset, int64_t max_regions) {
  return max_regions == 0 ? dataset.max_regions() : std::min(max_regions, dataset.max_regions());
}

PairEmbeddings embed(HybridStreamModel& model, at::Device device, const Dataset& dataset, const Tokenizer& tokenizer,
                     const EmbedderOptions& options, const EmbedProgress& progress) {
  require_fit(model->options(), tokenizer, dataset.feature_width(), options.max_tokens,
              kept_regions(dataset, options.max_regions), name_of(dataset));
  LoaderOptions order;
  order.batch_size = options.batch_size;
  order.workers = options.workers;
  order.max_tokens = options.max_tokens;
  order.max_regions = options.max_regions;
  order.shuffle = false;
  order.bucket_batches = kSortedBatches;
  Loader loader(dataset, tokenizer, order, std::nullopt,
                {.rank = options.rank,
                 .world_size = options.world_size,
                 .pin_memory = device.is_cuda(),
                 .packed = options.packed});
  EmbeddingPass pass(model, device, options, dataset.size());
  int64_t done = 0;
  while (std::optional<Batch> batch = loader.next()) {
    const int64_t own = (batch->pairs + options.world_size - 1 - options.rank) / options.world_size;
    const std::vector<int64_t> samples = std::move(batch->samples);
    pass.add(std::move(*batch), std::span(samples).first(static_cast<size_t>(own)));  // without a stand-in
    done += own;
    if (progress) progress(done);
  }
  return pass.result();
}

at::Tensor mean_features(const Dataset& dataset, int64_t max_regions) {
  at::Tensor means = at::zeros({dataset.size(), dataset.feature_width()}, at::kFloat);
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const RegionsView regions = dataset.sample(i).regions();
    const int64_t count = max_regions == 0 ? regions.count : std::min(regions.count, max_regions);
    at::Tensor features = at::empty({regions.count, dataset.feature_width()}, at::kFloat);
    regions.copy_features(features.mutable_data_ptr<float>());
    if (count > 0) means[i] = features.slice(0, 0, count).mean(0);
  }
  return unit_rows(means);
}

ProductList product_list(const Dataset& dataset, const std::string& name) {
  ProductList list;
  list.name = name;
  std::unordered_set<std::string> ids;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const SampleView sample = dataset.sample(i);
    ListedProduct product;
    product.id = sample.id();
    product.caption = sample.title();
    for (const std::string_view label : sample.labels()) product.labels.emplace_back(label);
    product.where = dataset.where(i);
    check_id(product);
    if (!ids.insert(product.id).second) {
      throw UserError({.what = "the id '" + product.id + "' stands twice in the " + name,
                       .where = product.where,
                       .hint = "every photo needs an id of its own"});
    }
    list.products.push_back(std::move(product));
  }
  return list;
}

void write_embeddings(const std::filesystem::path& path, const std::vector<NamedVectors>& sets,
                      const std::string& recipe) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const NamedVectors& set : sets) {
    std::string bytes;
    std::vector<int64_t> ends;
    for (const std::string& id : set.ids) {
      bytes += id;
      ends.push_back(static_cast<int64_t>(bytes.size()));
    }
    at::Tensor ids = at::empty({static_cast<int64_t>(bytes.size())}, at::kByte);
    std::memcpy(ids.mutable_data_ptr(), bytes.data(), bytes.size());
    tensors.emplace_back(set.name, set.vectors);
    tensors.emplace_back(set.name + ".ids", ids);
    tensors.emplace_back(set.name + ".id_ends", at::tensor(ends, at::kLong));
  }
  write_safetensors(path, tensors, {{"recipe", recipe}});
}

}  // namespace capture
