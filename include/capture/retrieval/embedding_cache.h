// Embeddings that are kept between runs: a gallery is embedded once for each model, and then looked up.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "capture/retrieval/embedder.h"

namespace capture {

/// 16 hexadecimal digits for a model's options and every weight, wherever they were read from.
std::string fingerprint(const HybridStreamModelImpl& model);

/// A folder of embeddings, each entry a file named after the digest of its key. A key is a text that tells everything
/// that the vectors depend on; the entry holds it in full, so that no two keys are ever taken for one another.
///
/// Any number of processes may share the folder: entries appear whole. One that is cut short or was changed is passed
/// over with a warning. Files that are no entries are left alone.
class EmbeddingCache {
 public:
  static constexpr uint64_t kDefaultBytes = uint64_t{8} << 30;

  /// The folder is made when the first entry is stored. Beyond `max_bytes` the entries that were used longest ago go.
  explicit EmbeddingCache(std::filesystem::path folder, uint64_t max_bytes = kDefaultBytes);

  std::optional<PairEmbeddings> find(const std::string& key) const;

  /// A folder that cannot be written to costs a warning, not the work.
  void store(const std::string& key, const PairEmbeddings& embeddings) const;

  /// find(), or what `embed` gives, which is stored.
  PairEmbeddings find_or(const std::string& key, const std::function<PairEmbeddings()>& embed) const;

  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path entry(const std::string& key) const;
  void make_room(const std::filesystem::path& newest) const;

  std::filesystem::path folder_;
  uint64_t max_bytes_;
};

/// A cache, and what it knows the model by that embeds: taken while the model has its weights, which embedding may give
/// up (PackedWeights::given_up).
struct CacheOfModel {
  CacheOfModel(EmbeddingCache cache, const HybridStreamModelImpl& model)
      : entries(std::move(cache)), fingerprint(capture::fingerprint(model)) {}

  EmbeddingCache entries;
  std::string fingerprint;
};

/// The key of what embed() would give. It is made of the model's fingerprint(), of the content of tokenizer and shards,
/// of the limits and the precision, and of the kind of device; neither file names nor batch size matter. `form` tells
/// other questions of the same dataset apart.
std::string embedding_key(const std::string& model, at::Device device, const Dataset& dataset,
                          const Tokenizer& tokenizer, const EmbedderOptions& options,
                          const std::string& form = "whole");

/// embed(), unless the cache has the vectors: then nothing runs, and `progress` hears at once that all is done. Without
/// a cache: embed().
PairEmbeddings embed_cached(const std::optional<CacheOfModel>& cache, HybridStreamModel& model, at::Device device,
                            const Dataset& dataset, const Tokenizer& tokenizer, const EmbedderOptions& options,
                            const EmbedProgress& progress = {});

}  // namespace capture
