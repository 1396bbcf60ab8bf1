#include "capture_search/gallery_search.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <chrono>
#include <unordered_set>
#include <utility>

#include "capture/base/error.h"
#include "capture/base/progress.h"
#include "capture/model/weights.h"
#include "capture/retrieval/embedding_cache.h"

namespace capture {

namespace {

using Clock = std::chrono::steady_clock;

/// While in scope, LibTorch works on one thread if there is too little to do for several: they would wait for each
/// other longer than they work, and on a busy machine a hundred times as long.
class ThreadScope {
 public:
  explicit ThreadScope(double multiplications) : before_(at::get_num_threads()) {
    if (multiplications < kWorthSharing) at::set_num_threads(1);
  }
  ~ThreadScope() { at::set_num_threads(before_); }
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  static constexpr double kWorthSharing = 1e9;  // some tens of milliseconds of one core
  int before_;
};

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

/// The gallery's ids, each once: what breaks ties between equal scores.
std::vector<std::string_view> ids_of(const Dataset& gallery) {
  std::vector<std::string_view> ids;
  std::unordered_set<std::string_view> seen;
  for (int64_t i = 0; i < gallery.size(); ++i) {
    ids.push_back(gallery.sample(i).id());
    if (seen.insert(ids.back()).second) continue;
    throw UserError({.what = "the id '" + std::string(ids.back()) + "' stands twice in the gallery",
                     .where = gallery.where(i),
                     .hint = "every photo needs an id of its own"});
  }
  return ids;
}

RecipeFusion what_it_has(const Question& question) {
  if (question.photo.empty()) return RecipeFusion::text;
  return question.title.empty() ? RecipeFusion::image : RecipeFusion::sum;
}

}  // namespace

Recipe recipe_for(const Question& question, const std::optional<Recipe>& wanted) {
  const RecipeFusion has = what_it_has(question);
  if (!wanted) return {RecipeStage::pre, has, RecipeFusion::sum};
  const bool no_title = wanted->query == RecipeFusion::text && has == RecipeFusion::image;
  const bool no_photo = wanted->query == RecipeFusion::image && has == RecipeFusion::text;
  if (!no_title && !no_photo) return *wanted;
  const std::string missing = no_title ? "title" : "photo";
  throw UserError(
      {.what = "the recipe " + name_of(*wanted) + " compares the question's " + missing + ", and it has none",
       .hint = "give one, or leave --recipe out"});
}

std::string in_words(Recipe recipe, const Question& question) {
  const RecipeFusion has = what_it_has(question);
  const bool photo = has != RecipeFusion::text && recipe.query != RecipeFusion::text;
  const bool title = has != RecipeFusion::image && recipe.query != RecipeFusion::image;
  const std::string asked = photo && title ? "photo and title" : photo ? "photo" : "title";
  return asked + " against " +
         (recipe.gallery == RecipeFusion::image  ? "photos"
          : recipe.gallery == RecipeFusion::text ? "titles"
                                                 : "photos and titles");
}

GallerySearch::GallerySearch(const SearchArguments& arguments, const Dataset& gallery)
    : subject_(find_subject(arguments.model)),
      device_(parse_device(arguments.model.device)),
      gallery_(gallery),
      ids_(ids_of(gallery_)),
      tokenizer_(load_tokenizer(subject_.tokenizer)) {
  auto start = Clock::now();
  model_ = load_model(subject_.weights);
  model_->to(device_);
  for (const at::Tensor& parameter : model_->parameters()) parameters_ += static_cast<double>(parameter.numel());
  loading_.model = milliseconds_since(start);
  start = Clock::now();
  ProgressBar progress("embedding the gallery", gallery_.size(), "items");
  subject_.embedder.weights = PackedWeights::given_up;
  pairs_ = embed_cached(cache_of(subject_, *model_), model_, device_, gallery_, *tokenizer_, subject_.embedder,
                        [&](int64_t done) { progress.update(done); });
  progress.clear();
  loading_.gallery = milliseconds_since(start);
}

const Searcher& GallerySearch::gallery_side(Recipe recipe) {
  // What the query's side is made of does not matter here.
  const Recipe alike{recipe.stage, recipe.gallery, recipe.gallery};
  const std::string name = name_of(alike);
  const auto known = sides_.find(name);
  if (known != sides_.end()) return known->second;
  return sides_.emplace(name, Searcher(apply(alike, RecipeSide::gallery, pairs_), ids_)).first->second;
}

std::vector<std::vector<Match>> GallerySearch::search(std::span<const Sample> samples, std::span<const Recipe> recipes,
                                                      int64_t depth, AnswerTimes& times) {
  auto start = Clock::now();
  PairEmbeddings pairs;
  {
    // Every parameter meets every token or region, of which there are some tens.
    const ThreadScope threads(parameters_ * 64 * static_cast<double>(samples.size()));
    pairs = embed_samples(model_, device_, samples, *tokenizer_, subject_.embedder);
  }
  times.embedding = milliseconds_since(start);
  start = Clock::now();
  std::map<std::string, std::vector<int64_t>> groups;  // the questions of each recipe
  for (size_t i = 0; i < recipes.size(); ++i) groups[name_of(recipes[i])].push_back(static_cast<int64_t>(i));
  std::vector<std::vector<Match>> found(samples.size());
  const ThreadScope threads(static_cast<double>(pairs_.text_projection.numel() * std::ssize(samples)));
  for (const auto& [name, rows] : groups) {
    const Recipe recipe = parse_recipe(name);
    const at::Tensor vectors = apply(recipe, RecipeSide::query, pairs).index_select(0, at::tensor(rows, at::kLong));
    auto matches = gallery_side(recipe).search(vectors, depth);
    for (size_t i = 0; i < rows.size(); ++i) found[static_cast<size_t>(rows[i])] = std::move(matches[i]);
  }
  times.search = milliseconds_since(start);
  return found;
}

}  // namespace capture
