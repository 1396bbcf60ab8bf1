// Recall of titles and photos that look for their other half: measured, shown, written.
#pragma once

#include <string>
#include <vector>

#include "capture/base/json.h"
#include "capture/report/report.h"
#include "capture/retrieval/cross_modal.h"
#include "capture/retrieval/product_list.h"
#include "capture_eval/output_folder.h"

namespace capture {

/// The pairs of one dataset among themselves.
struct CrossModalSet {
  std::string name;  ///< "gallery"
  std::vector<std::string> ids;
  OwnPlaces places;
};

CrossModalSet measure_cross_modal_set(const std::string& name, const ProductList& list, const PairEmbeddings& pairs);

/// Two rows a set: title to photo, photo to title. Columns: Recall@1, 5 and 10.
ReportTable cross_modal_table(const std::vector<CrossModalSet>& sets);

/// {"gallery": {"pairs", "title_to_photo": {"R@1", "R@5", "R@10"}, "photo_to_title": …}, …}, for metrics.json.
Json cross_modal_json(const std::vector<CrossModalSet>& sets);

/// cross_modal.jsonl: for each pair, at which rank (from 1) its title finds its photo and its photo its title; null
/// when not among the first ten.
void write_cross_modal(OutputFolder& output, const std::vector<CrossModalSet>& sets);

}  // namespace capture
