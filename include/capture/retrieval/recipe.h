// How the embeddings of a pair become the one vector that it is found by. Similarity is the dot product.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "capture/model/hybrid_stream.h"

namespace capture {

/// Where the embeddings come from.
enum class RecipeStage {
  pre,  ///< before fusion: the contrastive projections
  post  ///< after fusion: the pooled outputs
};

/// What is made of text and image. Each is brought to length 1 first; a vector of zeros stays one.
enum class RecipeFusion {
  concat,  ///< side by side, [2P]: the similarities of text and of image add up
  sum,     ///< added and brought to length 1 again, [P]: text also meets image
  text,
  image
};

/// What is compared with what. The contrastive objective trains a photo to meet its title, so that a query's photo
/// against the gallery's titles can be better than like against like.
struct Recipe {
  RecipeStage stage = RecipeStage::pre;
  RecipeFusion query = RecipeFusion::sum;
  RecipeFusion gallery = RecipeFusion::sum;

  bool operator==(const Recipe&) const = default;
};

enum class RecipeSide { query, gallery };

/// Every recipe: before fusion first, the same on both sides first.
std::vector<Recipe> all_recipes();

/// "pre.sum", or "pre.image-to-text" where the sides differ.
std::string name_of(Recipe recipe);

/// UserError, naming the nearest one, when there is no such recipe. `where` is the option or key that names it.
Recipe parse_recipe(const std::string& name, const std::string& where = "--recipe");

/// [N, P] each → float32 [N, P] or [N, 2P].
at::Tensor apply(Recipe recipe, RecipeSide side, const PairEmbeddings& pairs);

/// Rows brought to length 1; rows of zeros stay.
at::Tensor unit_rows(const at::Tensor& rows);

}  // namespace capture
