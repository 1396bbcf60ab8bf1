// The files and tables that hold an evaluation's figures.
#pragma once

#include <string>
#include <vector>

#include "capture/base/json.h"
#include "capture/base/json_line.h"
#include "capture/report/report.h"
#include "capture/retrieval/label_split.h"
#include "capture_eval/output_folder.h"

namespace capture {

/// "Photos of one product (405)".
std::string group_heading(QueryGroup group, int64_t queries);

/// metrics.json: the figures under the protocols' names, then the same by number of products, sizes, and `about`.
Json metrics_json(const GroundTruth& truth, const Rankings& rankings, const Evaluation& evaluation, const Json& about);

/// What was asked for, for metrics.json.
Json protocol_json(const EvaluationOptions& options);

/// {"seen": {"queries", "product1m_official", "strict"}, "unseen": …, "mixed": …}, for metrics.json.
Json label_parts_json(const Evaluation& evaluation, const Rankings& rankings, const LabelSplit& split);

/// One row a part of the split that has queries.
ReportTable label_part_table(const Evaluation& evaluation, const Rankings& rankings, const LabelSplit& split);

/// The figures by which systems and parts are compared, strict mAP at the first two cutoffs, strict Prec and official
/// mAP at the first, as far as they were measured: their names, and their values.
std::vector<std::string> figure_columns(const Evaluation& evaluation);
std::vector<double> figure_values(const Evaluation& evaluation, QueryGroup group);

/// Adds every figure of one ranking under its protocol's name.
void add_figures(JsonLine& line, const OfficialResult& official, size_t index);
void add_figures(JsonLine& line, const StrictResult& strict, const StrictLine& figures);

/// Writes per_query.jsonl (one line a ranking, every figure of it and, with a split, its part) and, under
/// product1m_official, odd_lines.jsonl.
void write_query_files(OutputFolder& output, const GroundTruth& truth, const Rankings& rankings,
                       const Evaluation& evaluation, const LabelSplit* split = nullptr);

/// Writes run.trec, the first 1000 items of each ranking, and qrels.trec.
void write_trec(OutputFolder& output, const Rankings& rankings, const GroundTruth& truth);

/// Warns of every line that the published script gives up on, and counts the other odd ones.
void log_odd_lines(const Evaluation& evaluation);

/// The figures of each protocol by N, one table for each group of queries that has any.
std::vector<ReportProtocol> protocol_tables(const Evaluation& evaluation);

}  // namespace capture
