#include "capture_eval/with_torch/collection.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "capture/base/log.h"
#include "capture/base/progress.h"

namespace capture {

namespace {

constexpr int64_t kSmallGallery = 10000;
constexpr int64_t kDepthOfLarge = 1000;
constexpr const char* kDefaultRecipe = "pre.sum";

std::vector<Recipe> recipes_of(const EvalArguments& arguments) {
  std::vector<Recipe> recipes;
  for (const std::string& name : arguments.recipes) {
    if (name != "all") {
      recipes.push_back(parse_recipe(name));
      continue;
    }
    for (const Recipe recipe : all_recipes()) recipes.push_back(recipe);
  }
  if (recipes.empty()) recipes.push_back(parse_recipe(kDefaultRecipe));
  return recipes;
}

}  // namespace

Collection::Collection(const EvalArguments& arguments)
    : gallery(arguments.gallery),
      queries(arguments.queries),
      gallery_list(product_list(gallery, "gallery")),
      query_list(product_list(queries, "queries")),
      truth(gallery_list, std::span(&query_list, 1)) {
  const int64_t all = gallery.size() <= kSmallGallery ? gallery.size() : kDepthOfLarge;
  const int64_t wanted = arguments.depth > 0 ? arguments.depth : all;
  depth = std::max(wanted, std::ranges::max(arguments.evaluation.at));
}

std::vector<Way> ways_of(const EvalArguments& arguments) {
  std::vector<Way> ways;
  for (const std::string& mode : arguments.modes) {
    for (const Recipe recipe : recipes_of(arguments)) {
      ways.push_back({parse_query_mode(mode), recipe});
      require_fit(ways.back().mode, recipe);
    }
  }
  return ways;
}

std::string description_of(Way way, Merge merge) {
  std::string text = "recipe " + name_of(way.recipe);
  if (way.mode == QueryMode::whole) return text;
  text = std::string("queries by ") + name_of(way.mode) + ", " + text;
  if (way.mode == QueryMode::instances) text += merge == Merge::score ? ", merged by score" : ", merged by rank";
  return text;
}

ModelVectors embed_collection(const Collection& collection, HybridStreamModel& model, const EmbeddingSetting& setting,
                              const std::vector<Way>& ways, const std::string& name) {
  model->to(setting.device);
  EmbedderOptions options = setting.subject.embedder;
  options.pooled = std::ranges::any_of(ways, [](const Way& way) { return way.recipe.stage == RecipeStage::post; });
  std::set<QueryMode> modes;
  for (const Way& way : ways) modes.insert(way.mode);
  const auto start = std::chrono::steady_clock::now();
  const int64_t each = collection.queries.size();
  const int64_t total = collection.gallery.size() + each * static_cast<int64_t>(modes.size());
  ProgressBar progress("embedding, " + name, total, "pairs");
  int64_t before = 0;
  const auto report = [&](int64_t done) { progress.update(before + done); };

  ModelVectors vectors;
  const std::optional<CacheOfModel> cache = cache_of(setting.subject, *model);
  options.weights = PackedWeights::given_up;
  vectors.gallery = embed_cached(cache, model, setting.device, collection.gallery, setting.tokenizer, options, report);
  before = collection.gallery.size();
  for (const QueryMode mode : modes) {
    vectors.queries[mode] =
        embed_queries(cache, mode, model, setting.device, collection.queries, setting.tokenizer, options, report);
    before += each;
  }
  progress.clear();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  log::info("{} model: embedded {} pairs in {:.1f} s ({:.0f} a second)", name, total, seconds.count(),
            static_cast<double>(total) / seconds.count());
  return vectors;
}

Rankings ranked(const Collection& collection, const ModelVectors& vectors, Way way, Merge merge, at::Device device) {
  const QueryVectors& asked = vectors.queries.at(way.mode);
  return rank_questions(apply(way.recipe, RecipeSide::query, asked.questions).to(device), asked.starts,
                        apply(way.recipe, RecipeSide::gallery, vectors.gallery).to(device), collection.truth,
                        {.depth = collection.depth}, merge);
}

std::vector<std::string> question_ids(const Collection& collection, const QueryVectors& vectors) {
  const std::vector<ListedProduct>& products = collection.query_list.products;
  const bool one_each = vectors.starts.back() == static_cast<int64_t>(products.size());
  std::vector<std::string> ids;
  for (size_t q = 0; q < products.size(); ++q) {
    for (int64_t i = vectors.starts[q]; i < vectors.starts[q + 1]; ++i) {
      ids.push_back(one_each ? products[q].id : products[q].id + "#" + std::to_string(i - vectors.starts[q]));
    }
  }
  return ids;
}

}  // namespace capture
