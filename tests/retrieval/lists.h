// Small lists for the tests of this room.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "capture/retrieval/ground_truth.h"

namespace capture {

/// A product list of {id, labels}, its lines called "<name>:1", ….
inline ProductList list_of(const std::string& name,
                           const std::vector<std::pair<std::string, std::vector<std::string>>>& products) {
  ProductList list;
  list.name = name;
  for (const auto& [id, labels] : products) {
    ListedProduct product;
    product.id = id;
    product.labels = labels;
    product.where = name + ":" + std::to_string(list.products.size() + 1);
    list.products.push_back(product);
  }
  return list;
}

}  // namespace capture
