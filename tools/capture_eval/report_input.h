// What a report shows of rankings and their figures; photos, systems and training are the model's to add.
#pragma once

#include "capture/report/report.h"
#include "capture/retrieval/protocols.h"

namespace capture {

/// Everything that follows from lists, rankings and figures: headlines, tables, curves, labels, queries and gallery.
/// Titles are those of the lists. The rankings may be without scores.
ReportInput ranking_report(const GroundTruth& truth, const ProductList& gallery, std::span<const ProductList> queries,
                           const Rankings& rankings, const Evaluation& evaluation);

/// "14 May 2025, 16:20", in the local time zone.
std::string date_and_time();

/// A command line as a shell reads it.
std::string command_line(const std::vector<std::string>& words);

}  // namespace capture
