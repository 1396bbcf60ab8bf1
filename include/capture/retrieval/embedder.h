// Samples → vectors: one pass over a dataset gives the embeddings that every recipe is made of.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "capture/data/dataset.h"
#include "capture/data/sample.h"
#include "capture/model/hybrid_stream.h"
#include "capture/model/packed_product.h"
#include "capture/retrieval/product_list.h"
#include "capture/tensor/device.h"

namespace capture {

class Tokenizer;

struct EmbedderOptions {
  int64_t batch_size = 64;
  int64_t workers = 1;      ///< threads that fill batches
  int64_t max_tokens = 36;  ///< [CLS] and [SEP] included; as in training
  int64_t max_regions = 0;  ///< the first ones of a sample; 0: as many as the dataset has
  Precision precision = Precision::float32;
  /// Whether the outputs after fusion are wanted. Without them the model stops after its streams, where most of the
  /// work is still to come, and the pooled embeddings stay undefined.
  bool pooled = true;
  /// Batches without padding, which on the CPU run in kernels of our own; false: padded ones, by LibTorch's operations
  /// alone.
  bool packed = true;
  /// Of what a CPU's products read a copy of. Given up, half a model's memory is free, and the model can embed packed
  /// batches in this precision and do nothing else.
  PackedWeights weights = PackedWeights::kept;
  /// Which of several processes this one is: it embeds a share of the samples.
  int64_t rank = 0;
  int64_t world_size = 1;
};

/// The most regions of one pair that the model gets to see: `max_regions`, or fewer when the dataset has fewer.
int64_t kept_regions(const Dataset& dataset, int64_t max_regions);

/// Called after every batch with the number of samples done; equally often on each of several processes. What it throws
/// ends the pass and reaches the caller.
using EmbedProgress = std::function<void(int64_t done)>;

/// Embeds every sample's first view and first title, nothing masked. Row i belongs to sample i; values are float32 on
/// the CPU; with several processes each row is one process's, and zero on the others. The vectors do not depend on the
/// batch size beyond rounding. The model must be on `device`; it runs in evaluation mode. UserError when vocabulary,
/// feature width or sequence length do not fit the model.
PairEmbeddings embed(HybridStreamModel& model, at::Device device, const Dataset& dataset, const Tokenizer& tokenizer,
                     const EmbedderOptions& options, const EmbedProgress& progress = {});

/// The same for samples in memory: questions that somebody asks. Row i belongs to samples[i].
///
/// A sample may lack its photo (no view, or one without regions) or its title (none, or one without a token). Its two
/// vectors of the missing side are zero, which every recipe takes for "nothing to compare"; those of the other side are
/// what the model makes of it next to a photo without features, or to an empty title. A stored sample and its copy in
/// memory get the same vectors, but for an empty title, which embed() takes for a title like any other.
///
/// UserError, naming the sample's id, when it has neither side, its numbers do not add up or are not finite; or when
/// the model does not fit, as in embed().
PairEmbeddings embed_samples(HybridStreamModel& model, at::Device device, std::span<const Sample> samples,
                             const Tokenizer& tokenizer, const EmbedderOptions& options);

/// The mean region feature of every sample, [N, D], at length 1: retrieval without any model.
at::Tensor mean_features(const Dataset& dataset, int64_t max_regions);

/// Ids, titles and labels of a dataset as a product list called `name`. UserError, naming the sample, when an id stands
/// twice or could not stand in a ranking file.
ProductList product_list(const Dataset& dataset, const std::string& name);

/// Vectors and whose they are.
struct NamedVectors {
  std::string name;              ///< "gallery"
  at::Tensor vectors;            ///< [N, E]
  std::vector<std::string> ids;  ///< N
};

/// A safetensors file with, for each set, `<name>` [N, E], `<name>.ids` (the bytes of all ids, joined) and
/// `<name>.id_ends` (int64 [N]: where each id ends); `recipe` is in the metadata.
void write_embeddings(const std::filesystem::path& path, const std::vector<NamedVectors>& sets,
                      const std::string& recipe);

}  // namespace capture
