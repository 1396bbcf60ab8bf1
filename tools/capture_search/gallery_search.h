// A model and a gallery, loaded once and asked many times.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "capture/data/dataset.h"
#include "capture/data/sample.h"
#include "capture/retrieval/embedder.h"
#include "capture/retrieval/recipe.h"
#include "capture/retrieval/search.h"
#include "capture_search/arguments.h"
#include "capture_search/question.h"
#include "common/with_torch/subject.h"

namespace capture {

/// The recipe that answers the question: `wanted`, or before fusion what the question has, photo, title or the sum of
/// both, against the sum of both in the gallery. UserError when `wanted` compares something that the question lacks.
Recipe recipe_for(const Question& question, const std::optional<Recipe>& wanted);

/// "photo against photos and titles".
std::string in_words(Recipe recipe, const Question& question);

/// Milliseconds that loading took.
struct LoadingTimes {
  double model = 0;
  double gallery = 0;  ///< embedding it, or reading the vectors that were kept
};

/// Milliseconds that an answer took, of all questions asked at once.
struct AnswerTimes {
  double embedding = 0;
  double search = 0;
};

class GallerySearch {
 public:
  /// Loads the model and the gallery's embeddings, which are made where the cache has none. UserError when the parts do
  /// not fit each other, or an id stands twice in the gallery, which must outlive this.
  GallerySearch(const SearchArguments& arguments, const Dataset& gallery);

  const Subject& subject() const { return subject_; }
  const LoadingTimes& loading() const { return loading_; }

  /// The best `depth` gallery items of each sample under its recipe. UserError, naming a sample, when the model cannot
  /// make anything of it.
  std::vector<std::vector<Match>> search(std::span<const Sample> samples, std::span<const Recipe> recipes,
                                         int64_t depth, AnswerTimes& times);

 private:
  const Searcher& gallery_side(Recipe recipe);

  Subject subject_;
  at::Device device_;
  const Dataset& gallery_;
  std::vector<std::string_view> ids_;
  std::unique_ptr<Tokenizer> tokenizer_;
  HybridStreamModel model_ = nullptr;
  double parameters_ = 0;
  PairEmbeddings pairs_;
  std::map<std::string, Searcher> sides_;  // the gallery under the recipes asked for so far
  LoadingTimes loading_;
};

}  // namespace capture
