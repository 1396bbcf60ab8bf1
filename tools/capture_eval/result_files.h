// The files and tables that hold an evaluation's figures.
#pragma once

#include <string>
#include <vector>

#include "capture/base/json.h"
#include "capture/report/report.h"
#include "capture/retrieval/protocols.h"
#include "capture_eval/output_folder.h"

namespace capture {

/// "Photos of one product (405)".
std::string group_heading(QueryGroup group, int64_t queries);

/// metrics.json: the figures under the protocols' names, then the same by number of products, sizes, and `about`.
Json metrics_json(const GroundTruth& truth, const Rankings& rankings, const Evaluation& evaluation, const Json& about);

/// Writes per_query.jsonl (one line a ranking, every figure of it) and, under product1m_official, odd_lines.jsonl.
void write_query_files(OutputFolder& output, const GroundTruth& truth, const Rankings& rankings,
                       const Evaluation& evaluation);

/// Warns of every line that the published script gives up on, and counts the other odd ones.
void log_odd_lines(const Evaluation& evaluation);

/// The figures of each protocol by N, one table for each group of queries that has any.
std::vector<ReportProtocol> protocol_tables(const Evaluation& evaluation);

}  // namespace capture
