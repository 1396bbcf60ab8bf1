#include "capture/retrieval/embedding_cache.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <span>
#include <utility>
#include <vector>

#include "capture/base/config.h"
#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/log.h"
#include "capture/tensor/safetensors.h"
#include "capture/text/tokenizer.h"
#include "embedding_pass.h"

namespace capture {

namespace {

namespace fs = std::filesystem;

/// Raised when the same model begins to give other vectors, so that no old ones are taken for new.
constexpr int64_t kVersion = 1;

constexpr std::string_view kPrefix = "embeddings-";
constexpr std::string_view kSuffix = ".safetensors";
constexpr const char* kKey = "key";
constexpr const char* kChecksum = "checksum";

struct Part {
  const char* name;
  at::Tensor PairEmbeddings::*tensor;
};
constexpr std::array kParts = {Part{"text_projection", &PairEmbeddings::text_projection},
                               Part{"region_projection", &PairEmbeddings::region_projection},
                               Part{"text_pooled", &PairEmbeddings::text_pooled},
                               Part{"region_pooled", &PairEmbeddings::region_pooled}};

uint64_t checksum_of(const at::Tensor& tensor) {
  const at::Tensor bytes = tensor.detach().cpu().contiguous();
  return checksum(std::span(static_cast<const std::byte*>(bytes.const_data_ptr()), bytes.nbytes()));
}

std::string checksum_of(const PairEmbeddings& embeddings) {
  std::string digests;
  for (const Part& part : kParts) {
    if ((embeddings.*part.tensor).defined()) digests += part.name + to_hex(checksum_of(embeddings.*part.tensor));
  }
  return to_hex(checksum(digests));
}

/// UserError when the file is none that store() wrote, or was changed since.
PairEmbeddings read_entry(const fs::path& path, const std::string& key) {
  const SafetensorsFile file(path);
  const auto told = [&](const char* name) {
    const auto found = file.metadata().find(name);
    return found == file.metadata().end() ? std::string() : found->second;
  };
  const auto refuse = [&](const char* what) { throw UserError({.what = what, .where = path.string()}); };
  if (told(kKey) != key) refuse("holds the embeddings of something else");
  PairEmbeddings embeddings;
  for (const Part& part : kParts) {
    if (!file.contains(part.name)) continue;  // the checksum tells whether it should be there
    const at::Tensor stored = file.tensor(part.name);
    if (stored.scalar_type() != at::kFloat || stored.dim() != 2) refuse("holds something other than embeddings");
    embeddings.*part.tensor = stored.clone();
  }
  if (told(kChecksum) != checksum_of(embeddings)) refuse("differs from its checksum");
  return embeddings;
}

}  // namespace

std::string fingerprint(const HybridStreamModelImpl& model) {
  std::string text = to_line(to_json(model.options()));
  for (const auto& item : model.named_parameters()) text += "\n" + item.key() + " " + to_hex(checksum_of(item.value()));
  return to_hex(checksum(text));
}

EmbeddingCache::EmbeddingCache(fs::path folder, uint64_t max_bytes)
    : folder_(std::move(folder)), max_bytes_(max_bytes) {}

fs::path EmbeddingCache::entry(const std::string& key) const {
  return folder_ / (std::string(kPrefix) + to_hex(checksum(key)) + std::string(kSuffix));
}

std::optional<PairEmbeddings> EmbeddingCache::find(const std::string& key) const {
  const fs::path path = entry(key);
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::nullopt;
  try {
    PairEmbeddings found = read_entry(path, key);
    fs::last_write_time(path, fs::file_time_type::clock::now(), ignored);  // it was used last now
    return found;
  } catch (const UserError& error) {
    log::warn("embedded anew, because a kept result is damaged: {}", error.what());
    return std::nullopt;
  }
}

void EmbeddingCache::store(const std::string& key, const PairEmbeddings& embeddings) const {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const Part& part : kParts) {
    if ((embeddings.*part.tensor).defined()) tensors.emplace_back(part.name, embeddings.*part.tensor);
  }
  try {
    make_folder(folder_);
    const fs::path path = entry(key);
    write_safetensors(path, tensors, {{kKey, key}, {kChecksum, checksum_of(embeddings)}});
    make_room(path);
  } catch (const UserError& error) {
    log::warn("embeddings are not kept for the next run: {}", error.what());
  }
}

PairEmbeddings EmbeddingCache::find_or(const std::string& key, const std::function<PairEmbeddings()>& embed) const {
  if (std::optional<PairEmbeddings> kept = find(key)) return *std::move(kept);
  PairEmbeddings embeddings = embed();
  store(key, embeddings);
  return embeddings;
}

void EmbeddingCache::make_room(const fs::path& newest) const {
  struct Entry {
    fs::file_time_type used;
    uint64_t bytes;
    fs::path path;
  };
  std::vector<Entry> entries;
  uint64_t total = 0;
  // Another process may remove an entry at any moment: whatever fails on one means that it is gone.
  std::error_code gone;
  for (const auto& file : fs::directory_iterator(folder_, gone)) {
    const std::string name = file.path().filename().string();
    const bool is_entry = name.starts_with(kPrefix) && name.ends_with(kSuffix) &&
                          name.size() == kPrefix.size() + 16 + kSuffix.size() && file.is_regular_file(gone);
    if (!is_entry) continue;
    const uint64_t bytes = file.file_size(gone);
    if (gone) continue;
    total += bytes;
    if (file.path() != newest) entries.push_back({file.last_write_time(gone), bytes, file.path()});
  }
  std::ranges::sort(entries, {}, &Entry::used);
  for (const Entry& entry : entries) {
    if (total <= max_bytes_) break;
    fs::remove(entry.path, gone);
    total -= entry.bytes;
  }
}

std::string embedding_key(const std::string& model, at::Device device, const Dataset& dataset,
                          const Tokenizer& tokenizer, const EmbedderOptions& options, const std::string& form) {
  return to_line({{"version", kVersion},
                  {"form", form},
                  {"model", model},
                  {"dataset", dataset.fingerprint()},
                  {"tokenizer", tokenizer.fingerprint()},
                  {"max_tokens", options.max_tokens},
                  {"max_regions", kept_regions(dataset, options.max_regions)},
                  {"pooled", options.pooled},
                  {"precision", options.precision == Precision::float32 ? "float32" : "bfloat16"},
                  {"device", c10::DeviceTypeName(device.type(), /*lower_case=*/true)}});
}

PairEmbeddings embed_cached(const std::optional<CacheOfModel>& cache, HybridStreamModel& model, at::Device device,
                            const Dataset& dataset, const Tokenizer& tokenizer, const EmbedderOptions& options,
                            const EmbedProgress& progress) {
  if (!cache) return embed(model, device, dataset, tokenizer, options, progress);
  require_fit(model->options(), tokenizer, dataset.feature_width(), options.max_tokens,
              kept_regions(dataset, options.max_regions), dataset.shards().front().path().string());
  if (!options.pooled) {
    // Whoever kept everything kept the projections too.
    EmbedderOptions whole = options;
    whole.pooled = true;
    if (auto kept = cache->entries.find(embedding_key(cache->fingerprint, device, dataset, tokenizer, whole))) {
      if (progress) progress(dataset.size());
      return {kept->text_projection, kept->region_projection, {}, {}};
    }
  }
  const std::string key = embedding_key(cache->fingerprint, device, dataset, tokenizer, options);
  bool ran = false;
  const auto run = [&] {
    ran = true;
    return embed(model, device, dataset, tokenizer, options, progress);
  };
  PairEmbeddings embeddings = cache->entries.find_or(key, run);
  if (!ran && progress) progress(dataset.size());
  return embeddings;
}

}  // namespace capture
