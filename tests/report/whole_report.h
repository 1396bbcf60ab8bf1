// A report with every section, for the tests that look at one.
#pragma once

#include <string>
#include <vector>

#include "capture/report/report.h"
#include "items.h"

namespace capture::testing {

inline ReportQuery query(std::string id, std::vector<std::string> labels, double precision, std::vector<size_t> found) {
  ReportQuery asked{
      .item = item(std::move(id), std::move(labels)), .average_precision = precision, .positives = 3, .ranking = {}};
  for (const size_t i : found) asked.ranking.push_back({i, 0.9 - 0.1 * static_cast<double>(asked.ranking.size())});
  return asked;
}

inline ReportTable table(std::string title) {
  return {
      .title = std::move(title),
      .note = "",
      .row_heading = "System",
      .columns = {"strict mAP@10", "strict Prec@10"},
      .rows = {
          {"chance", "", {0.02, 0.03}}, {"raw", "mean-pooled", {0.28, kNotMeasured}}, {"pretrained", "", {0.81, 0.7}}}};
}

/// A report with every section.
inline ReportInput whole() {
  ReportInput input;
  input.title = "Groceries";
  input.dataset = "held-out photos";
  input.run = "demo";
  input.created = "today";
  input.headlines = {{"Photos of one product", "strict mAP@10", 0.81, 0.72, "raw region features", 0.28, 0.25}};
  input.systems = {table("Photos of one product")};
  input.protocols = {{"strict", {table("One product")}}, {"product1m_official", {table("One product")}}};
  input.breakdowns = {table("By number of products")};
  input.curves = {{"Precision by recall", "recall", "precision", {{"all", {0, 50, 100}, {90, 70, 10}}}}};
  input.histograms = {{"Scores", "score", 0, 1, {{"hits", {}, {0.25, 0.75}}, {"misses", {}, {0.5, 0.5}}}}};
  input.labels = {{"plum", 1, 2, 0.25, 1.0}, {"apple", 1, 2, 1.0, 1.0}};
  input.confusions = {{"plum", "pear", 1.5, 0.5, kNoItem, kNoItem}};
  input.charts = {{"Loss", "step", "loss", {{"total", {0, 1, 2}, {3, 2, 1}}}}};
  input.gallery = {item("g0", {"apple"}), item("g1", {"pear"}), item("g2", {"plum"}), item("g3", {"apple", "plum"})};
  input.queries = {query("q0", {"apple"}, 1.0, {0, 1}), query("q1", {"pear", "plum", "pear"}, 0.25, {0, 1, 2, 3})};
  input.facts = {{"Seed", "1"}};
  input.commands = {{"Train", "capture_train --config a.json"}};
  input.configuration = "{\"a\": 1}";
  return input;
}

inline ReportInput with_queries(size_t count) {
  ReportInput input = whole();
  input.queries.clear();
  for (size_t i = 0; i < count; ++i) {
    input.queries.push_back(
        query('q' + std::to_string(i), {"apple"}, static_cast<double>(i) / static_cast<double>(count), {0, 1}));
  }
  return input;
}

}  // namespace capture::testing
