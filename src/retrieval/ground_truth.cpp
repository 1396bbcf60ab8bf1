#include "capture/retrieval/ground_truth.h"

#include <algorithm>
#include <limits>

#include "capture/base/error.h"

namespace capture {

namespace {

// What is asked of a list, of whichever kind it is.

struct About {
  std::string name;
  size_t size = 0;
  std::span<const OddLine> odd;
};

About about(const ProductList& list) {
  return {list.name, list.products.size(), list.odd};
}

About about(const LabelList& list) {
  return {list.name(), list.size(), list.odd()};
}

/// Calls `visit(id, labels, where)`, `where()` being the line's place.
template <class Visit>
void for_each_line(const ProductList& list, Visit visit) {
  std::vector<std::string_view> labels;
  for (const ListedProduct& product : list.products) {
    labels.assign(product.labels.begin(), product.labels.end());
    visit(product.id, labels, [&] { return product.where; });
  }
}

template <class Visit>
void for_each_line(const LabelList& list, Visit visit) {
  list.for_each([&](const LabelList::Row& row) { visit(row.id, row.labels, [&] { return list.where(row); }); });
}

void check_size(const About& list, size_t before) {
  if (before + list.size > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    throw UserError({.what = "too many products", .where = list.name, .allowed = "at most 2147483647"});
  }
}

OddLine listed_twice(std::string where, std::string_view id, std::string what, const char* effect, Oddity oddity) {
  return {std::move(where), std::string(id), std::move(what) + " '" + std::string(id) + "' is listed twice", effect,
          oddity};
}

}  // namespace

GroundTruth::GroundTruth(const ProductList& gallery, std::span<const ProductList> queries) {
  add_gallery(gallery);
  for (const ProductList& list : queries) add_queries(list);
  count_positives();
}

GroundTruth::GroundTruth(const LabelList& gallery, std::span<const LabelList> queries) {
  add_gallery(gallery);
  for (const LabelList& list : queries) add_queries(list);
  count_positives();
}

void GroundTruth::count_positives() {
  for (GroundTruthQuery& query : queries_) {
    for (const int32_t label : query.labels) {
      query.listed_positives += items_with(label);
      if (std::ranges::find(query.distinct_labels, label) != query.distinct_labels.end()) continue;
      query.distinct_labels.push_back(label);
      query.positives += items_with(label);
    }
  }
}

int32_t GroundTruth::label(std::string_view name) {
  const auto [number, added] = labels_.add(name);
  if (added) label_items_.push_back(0);
  return number;
}

template <class List>
void GroundTruth::add_gallery(const List& list) {
  const About it = about(list);
  check_size(it, 0);
  item_labels_.reserve(it.size);
  odd_.insert(odd_.end(), it.odd.begin(), it.odd.end());
  std::vector<std::string_view> ids;
  ids.reserve(it.size);
  for_each_line(list, [&](std::string_view id, const auto&, const auto&) { ids.push_back(id); });
  const auto numbers = items_.add_all(ids);
  auto number = numbers.begin();
  for_each_line(list, [&](std::string_view id, std::span<const std::string_view> labels, const auto& where) {
    const int32_t item_label = labels.empty() ? kUnknown : label(labels.front());
    const auto [item, added] = *number++;
    if (added) {
      item_labels_.push_back(item_label);
    } else {
      item_labels_[static_cast<size_t>(item)] = item_label;
      odd_.push_back(listed_twice(where(), id, "gallery id", "its last label counts", Oddity::ambiguous));
    }
  });
  for (const int32_t item_label : item_labels_) {
    if (item_label != kUnknown) ++label_items_[static_cast<size_t>(item_label)];
  }
}

template <class List>
void GroundTruth::add_queries(const List& list) {
  const About it = about(list);
  check_size(it, queries_.size());
  query_ids_.reserve(queries_.size() + it.size);
  queries_.reserve(queries_.size() + it.size);
  odd_.insert(odd_.end(), it.odd.begin(), it.odd.end());
  for_each_line(list, [&](std::string_view id, std::span<const std::string_view> names, const auto& where) {
    std::vector<int32_t> labels;
    labels.reserve(names.size());
    for (const std::string_view name : names) labels.push_back(label(name));
    const auto [number, added] = query_ids_.add(id);
    if (added) queries_.push_back({.id = std::string(id)});
    GroundTruthQuery& query = queries_[static_cast<size_t>(number)];
    if (!added) {
      odd_.push_back(listed_twice(where(), id, "query", "its last labels count",
                                  labels == query.labels ? Oddity::remark : Oddity::ambiguous));
    }
    query.labels = std::move(labels);
    query.where = where();
  });
}

}  // namespace capture
