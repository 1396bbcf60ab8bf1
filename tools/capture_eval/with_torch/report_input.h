// Fills the report: what was measured, as a reader wants to see it.
#pragma once

#include <filesystem>
#include <vector>

#include "capture/data/dataset.h"
#include "capture/report/report.h"
#include "capture_eval/with_torch/systems.h"

namespace capture {

/// What a report is made from. Everything is borrowed.
struct Measured {
  const Dataset& gallery;
  const Dataset& queries;
  const ProductList& gallery_list;  ///< the same as lists
  const ProductList& query_list;
  const GroundTruth& truth;
  const Rankings& rankings;  ///< the model's, with scores
  const std::vector<System>& systems;
  const System& model;
  const System* reference;  ///< what the model is compared with in the headlines, or null
};

/// The report of the rankings, with the systems beside it and photos. The thumbnails are views into the datasets.
ReportInput report_input(const Measured& measured);

/// The training curves of a run's metrics.jsonl; none when there is no such file. Lines that cannot be read are passed
/// over: a run may still be writing.
std::vector<ReportChart> training_charts(const std::filesystem::path& metrics);

}  // namespace capture
