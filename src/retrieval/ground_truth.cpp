#include "capture/retrieval/ground_truth.h"

#include <algorithm>
#include <limits>

#include "capture/base/error.h"
#include "capture/base/files.h"

namespace capture {

namespace {

int32_t find(const auto& index, std::string_view id) {
  const auto found = index.find(id);
  return found == index.end() ? kUnknown : found->second;
}

void check_size(const ProductList& list, size_t before) {
  if (before + list.products.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    throw UserError({.what = "too many products", .where = list.name, .allowed = "at most 2147483647"});
  }
}

}  // namespace

size_t GroundTruth::Hash::operator()(std::string_view text) const {
  return static_cast<size_t>(checksum(text));
}

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

int32_t GroundTruth::find_item(std::string_view id) const {
  return find(items_, id);
}

int32_t GroundTruth::find_query(std::string_view id) const {
  return find(query_index_, id);
}

int32_t GroundTruth::label(const std::string& name) {
  const auto [entry, added] = labels_.try_emplace(name, static_cast<int32_t>(label_names_.size()));
  if (added) {
    label_names_.push_back(name);
    label_items_.push_back(0);
  }
  return entry->second;
}

void GroundTruth::add_gallery(const ProductList& gallery) {
  check_size(gallery, 0);
  odd_.insert(odd_.end(), gallery.odd.begin(), gallery.odd.end());
  for (const ListedProduct& product : gallery.products) {
    const int32_t item_label = product.labels.empty() ? kUnknown : label(product.labels.front());
    const auto [entry, added] = items_.try_emplace(product.id, gallery_size());
    if (added) {
      item_ids_.push_back(product.id);
      item_labels_.push_back(item_label);
    } else {
      item_labels_[static_cast<size_t>(entry->second)] = item_label;
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
    const auto [entry, added] = query_index_.try_emplace(product.id, static_cast<int32_t>(queries_.size()));
    if (added) queries_.push_back({.id = product.id});
    GroundTruthQuery& query = queries_[static_cast<size_t>(entry->second)];
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
