// What is searched, by which questions, and how: gallery and queries as the model sees them, and each way to put one to
// the other.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "capture/data/dataset.h"
#include "capture/retrieval/query_mode.h"
#include "capture_eval/arguments.h"
#include "common/with_torch/subject.h"

namespace capture {

/// Both datasets, and the same as lists.
struct Collection {
  explicit Collection(const EvalArguments& arguments);

  Dataset gallery;
  Dataset queries;
  ProductList gallery_list;
  ProductList query_list;
  GroundTruth truth;
  int64_t depth;  ///< of the rankings
};

/// What is shown of a query, and what of it is compared with what of the gallery.
struct Way {
  QueryMode mode;
  Recipe recipe;
};

/// Every mode with every recipe that was asked for, the first of each first. UserError when a recipe is unknown, or
/// compares what a mode leaves out.
std::vector<Way> ways_of(const EvalArguments& arguments);

/// "recipe pre.sum", "queries by text, recipe pre.sum".
std::string description_of(Way way, Merge merge);

/// The embeddings that some ways need.
struct ModelVectors {
  PairEmbeddings gallery;
  std::map<QueryMode, QueryVectors> queries;
};

/// How embeddings are made; everything is borrowed.
struct EmbeddingSetting {
  const Subject& subject;
  const Tokenizer& tokenizer;
  at::Device device;
};

/// Embeds the gallery and, in the modes of the ways, the queries, as far as their recipes need it; keeps them in the
/// subject's cache. The model is called `name` in the log.
ModelVectors embed_collection(const Collection& collection, HybridStreamModel& model, const EmbeddingSetting& setting,
                              const std::vector<Way>& ways, const std::string& name);

/// The rankings of one way.
Rankings ranked(const Collection& collection, const ModelVectors& vectors, Way way, Merge merge, at::Device device);

/// The ids of the rows of vectors.queries[mode]: those of the queries or, of instances, "query#3".
std::vector<std::string> question_ids(const Collection& collection, const QueryVectors& vectors);

}  // namespace capture
