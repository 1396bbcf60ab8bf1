#include "capture/retrieval/recipe.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "capture/base/error.h"

namespace capture {

namespace {

std::vector<std::pair<std::string, Recipe>> make_named_recipes() {
  using enum RecipeFusion;
  struct Sides {
    const char* name;
    RecipeFusion query, gallery;
  };
  constexpr Sides kSides[] = {{"concat", concat, concat},     {"sum", sum, sum},
                              {"text", text, text},           {"image", image, image},
                              {"sum-to-text", sum, text},     {"sum-to-image", sum, image},
                              {"image-to-text", image, text}, {"text-to-image", text, image},
                              {"image-to-sum", image, sum},   {"text-to-sum", text, sum}};
  std::vector<std::pair<std::string, Recipe>> recipes;
  for (const auto& [prefix, stage] : {std::pair{"pre.", RecipeStage::pre}, std::pair{"post.", RecipeStage::post}}) {
    for (const Sides& sides : kSides) {
      recipes.emplace_back(std::string(prefix) + sides.name, Recipe{stage, sides.query, sides.gallery});
    }
  }
  return recipes;
}

const std::vector<std::pair<std::string, Recipe>>& named_recipes() {
  static const std::vector<std::pair<std::string, Recipe>> recipes = make_named_recipes();
  return recipes;
}

}  // namespace

std::vector<Recipe> all_recipes() {
  std::vector<Recipe> recipes;
  for (const auto& [name, recipe] : named_recipes()) recipes.push_back(recipe);
  return recipes;
}

std::string name_of(Recipe recipe) {
  return std::ranges::find(named_recipes(), recipe, &std::pair<std::string, Recipe>::second)->first;
}

Recipe parse_recipe(const std::string& name, const std::string& where) {
  std::vector<std::string> names;
  std::string allowed;
  for (const auto& [known, recipe] : named_recipes()) {
    if (known == name) return recipe;
    names.push_back(known);
    allowed += (allowed.empty() ? "" : ", ") + known;
  }
  const std::string near = nearest_word(name, names);
  throw UserError({.what = "there is no embedding recipe '" + name + "'",
                   .where = where,
                   .allowed = allowed,
                   .hint = near.empty() ? "" : "did you mean " + near + "?"});
}

at::Tensor unit_rows(const at::Tensor& rows) {
  const at::Tensor values = rows.to(at::kFloat);
  return values / values.norm(2, 1, true).clamp_min(1e-12);
}

at::Tensor apply(Recipe recipe, RecipeSide side, const PairEmbeddings& pairs) {
  const bool pre = recipe.stage == RecipeStage::pre;
  const at::Tensor text = unit_rows(pre ? pairs.text_projection : pairs.text_pooled);
  const at::Tensor image = unit_rows(pre ? pairs.region_projection : pairs.region_pooled);
  switch (side == RecipeSide::query ? recipe.query : recipe.gallery) {
    case RecipeFusion::concat:
      return at::cat({text, image}, 1);
    case RecipeFusion::sum:
      return unit_rows(text + image);
    case RecipeFusion::text:
      return text;
    case RecipeFusion::image:
      return image;
  }
  TORCH_INTERNAL_ASSERT(false, "unknown recipe");
}

}  // namespace capture
