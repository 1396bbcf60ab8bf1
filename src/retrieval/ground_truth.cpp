#include "capture/retrieval/ground_truth.h"

#include <algorithm>
#include <limits>

#include "capture/base/error.h"

namespace capture {

namespace {

void check_size(const ProductList& list, size_t before) {
  if (before + list.products.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    throw UserError({.what = "too many products", .where = list.name, .allowed = "at most 2147483647"});
  }
}

}  // namespace

GroundTruth::GroundTruth(const ProductList& gallery, std::span<const ProductList> queries) {
  add_gallery(gallery);
  for (const ProductList& list : queries) add_queries(list);
  for (GroundTruthQuery& query : queries_) {
    for (const int32_t label : query.labels) {
      query.listed_positives += items_with(label);
      if (std::ranges::find(query.distinct_labels, label) != query.distinct_labels.end()) continue;
      query.distinct_labels.push_back(label);
      query.positives += items_with(label);
    }
  }
}

int32_t GroundTruth::label(const std::string& name) {
  const auto [number, added] = labels_.add(name);
  if (added) label_items_.push_back(0);
  return number;
}

void GroundTruth::add_gallery(const ProductList& gallery) {
  check_size(gallery, 0);
  odd_.insert(odd_.end(), gallery.odd.begin(), gallery.odd.end());
  for (const ListedProduct& product : gallery.products) {
    const int32_t item_label = product.labels.empty() ? kUnknown : label(product.labels.front());
    const auto [item, added] = items_.add(product.id);
    if (added) {
      item_labels_.push_back(item_label);
    } else {
      item_labels_[static_cast<size_t>(item)] = item_label;
      odd_.push_back({product.where, product.id, "gallery id '" + product.id + "' is listed twice",
                      "its last label counts", Oddity::ambiguous});
    }
  }
  for (const int32_t item_label : item_labels_) {
    if (item_label != kUnknown) ++label_items_[static_cast<size_t>(item_label)];
  }
}

void GroundTruth::add_queries(const ProductList& list) {
  check_size(list, queries_.size());
  odd_.insert(odd_.end(), list.odd.begin(), list.odd.end());
  for (const ListedProduct& product : list.products) {
    const auto [number, added] = query_ids_.add(product.id);
    if (added) queries_.push_back({.id = product.id});
    GroundTruthQuery& query = queries_[static_cast<size_t>(number)];
    std::vector<int32_t> labels;
    for (const std::string& name : product.labels) labels.push_back(label(name));
    if (!added) {
      odd_.push_back({product.where, product.id, "query '" + product.id + "' is listed twice", "its last labels count",
                      labels == query.labels ? Oddity::remark : Oddity::ambiguous});
    }
    query.labels = std::move(labels);
    query.where = product.where;
  }
}

}  // namespace capture
