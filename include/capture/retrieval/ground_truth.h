// Which gallery items are right for which query: the lists as small numbers, ready for millions of look-ups.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "capture/retrieval/id_table.h"
#include "capture/retrieval/product_list.h"

namespace capture {

struct GroundTruthQuery {
  std::string id;
  std::vector<int32_t> labels = {};           ///< as listed, duplicates kept
  std::vector<int32_t> distinct_labels = {};  ///< in order of their first listing
  int64_t listed_positives = 0;  ///< gallery items of the labels as listed: a label listed twice counts twice
  int64_t positives = 0;         ///< distinct gallery items of the labels
  std::string where = {};        ///< "list.txt:12"

  /// A query that shows several products; in reports these stand apart from those that show one.
  bool several_products() const { return distinct_labels.size() > 1; }
};

class GroundTruth {
 public:
  /// A gallery item's label is the first that is listed for it. Query lists are merged. An id that stands in a list
  /// twice, or in two query lists, keeps its first place and takes its last labels, and is noted as odd.
  GroundTruth(const ProductList& gallery, std::span<const ProductList> queries);
  GroundTruth(const LabelList& gallery, std::span<const LabelList> queries);

  int32_t gallery_size() const { return static_cast<int32_t>(item_labels_.size()); }
  const IdTable& items() const { return items_; }
  std::string_view item_id(int32_t item) const { return items_.id(item); }
  int32_t item_label(int32_t item) const { return item_labels_[static_cast<size_t>(item)]; }
  /// kUnknown when the gallery has no such id.
  int32_t find_item(std::string_view id) const { return items_.find(id); }

  const std::vector<GroundTruthQuery>& queries() const { return queries_; }
  const GroundTruthQuery& query(int32_t query) const { return queries_[static_cast<size_t>(query)]; }
  /// kUnknown when no query list has such an id.
  int32_t find_query(std::string_view id) const { return query_ids_.find(id); }

  /// Labels are numbered from 0.
  int32_t label_count() const { return labels_.size(); }
  std::string_view label_name(int32_t label) const { return labels_.id(label); }
  /// How many gallery items carry the label.
  int64_t items_with(int32_t label) const { return label_items_[static_cast<size_t>(label)]; }

  /// Odd lines of the lists: ids listed twice (a remark where a query's labels are the same both times), lines with too
  /// many fields.
  const std::vector<OddLine>& odd() const { return odd_; }

 private:
  int32_t label(std::string_view name);
  template <class List>
  void add_gallery(const List& list);
  template <class List>
  void add_queries(const List& list);
  void count_positives();

  IdTable items_;
  IdTable query_ids_;
  IdTable labels_;
  std::vector<int32_t> item_labels_;
  std::vector<int64_t> label_items_;
  std::vector<GroundTruthQuery> queries_;
  std::vector<OddLine> odd_;
};

}  // namespace capture
