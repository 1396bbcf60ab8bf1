// What of a query is shown to the model: all of it, one side, or each thing in its photo on its own.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "capture/retrieval/embedding_cache.h"
#include "capture/retrieval/ranker.h"
#include "capture/retrieval/recipe.h"

namespace capture {

enum class QueryMode {
  whole,     ///< photo and title
  text,      ///< the title alone
  image,     ///< the photo alone
  instances  ///< each region as a photo of its own, without the title; the rankings of one query are merged
};

/// "whole", "text", "image", "instances".
const char* name_of(QueryMode mode);
/// UserError when there is no such mode.
QueryMode parse_query_mode(const std::string& name);

/// The embeddings of the questions that the queries become, and which belong to which.
struct QueryVectors {
  PairEmbeddings questions;
  std::vector<int64_t> starts;  ///< query q asks questions starts[q] to starts[q + 1]: one each but for instances
};

/// embed_cached() for a mode. Under `instances` region r of a photo is a photo that shows this region from edge to
/// edge.
QueryVectors embed_queries(const std::optional<CacheOfModel>& cache, QueryMode mode, HybridStreamModel& model,
                           at::Device device, const Dataset& queries, const Tokenizer& tokenizer,
                           const EmbedderOptions& options, const EmbedProgress& progress = {});

/// UserError when the recipe compares what the mode leaves out: every vector would be zero, and the ranking chance.
void require_fit(QueryMode mode, Recipe recipe);

/// How the rankings of a query's instances become one.
enum class Merge {
  score,  ///< an item has the best of its scores
  rank    ///< an item has the best of its places; equal places go by the score there. Its score is 1 / place
};

/// The `depth` best of lists that are sorted by falling score, ties in byte order of `ids`; so is the result. Each list
/// must hold its own `depth` best items, or all. An item stands once.
std::vector<Match> merged(const std::vector<std::vector<Match>>& lists, Merge merge, size_t depth,
                          std::span<const std::string_view> ids);

/// rank() of queries that ask questions starts[q] to starts[q + 1] (see QueryVectors), whose rankings are merged.
Rankings rank_questions(const at::Tensor& questions, const std::vector<int64_t>& starts, const at::Tensor& gallery,
                        const GroundTruth& truth, const SearchOptions& options, Merge merge);

}  // namespace capture
