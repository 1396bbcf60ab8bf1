// Figures of rankings that somebody else made.
#include <cstdio>
#include <optional>

#include "capture/base/files.h"
#include "capture/report/text_table.h"
#include "capture_eval/arguments.h"
#include "capture_eval/output_folder.h"
#include "capture_eval/report_input.h"
#include "capture_eval/result_files.h"

namespace capture {

namespace {

Json input_json(const std::string& file, uint64_t checksum) {
  return {{"file", file}, {"xxh3", to_hex(checksum)}};
}

void print(const Evaluation& evaluation, const Rankings& rankings, const LabelSplit* parts) {
  log_odd_lines(evaluation);
  for (const ReportProtocol& protocol : protocol_tables(evaluation)) {
    std::printf("%s\n", protocol.name.c_str());
    for (const ReportTable& table : protocol.tables) {
      std::printf("\n%s", text_table(table).c_str());
      if (!table.note.empty()) std::printf("%s\n", table.note.c_str());
    }
    std::printf("\n");
  }
  if (parts != nullptr) std::printf("%s", text_table(label_part_table(evaluation, rankings, *parts)).c_str());
}

}  // namespace

void evaluate_rankings(const EvalArguments& arguments) {
  std::optional<OutputFolder> output;
  if (!arguments.output.empty()) output.emplace(arguments.output);

  const ProductList gallery = read_product_list(arguments.gallery_list);
  std::vector<ProductList> queries;
  for (const auto& path : arguments.query_lists) queries.push_back(read_product_list(path));
  const GroundTruth truth(gallery, queries);
  const Rankings rankings = read_rankings(arguments.rankings, truth);
  std::optional<LabelSplit> split;
  if (!arguments.unseen_labels.empty()) split.emplace(arguments.unseen_labels, truth);
  const LabelSplit* const parts = split ? &*split : nullptr;
  const Evaluation evaluation = evaluate(truth, rankings, arguments.evaluation);
  print(evaluation, rankings, parts);
  if (!output) return;
  write_query_files(*output, truth, rankings, evaluation, parts);
  if (arguments.trec.value_or(false)) write_trec(*output, rankings, truth);
  output->folder("report_files");
  if (arguments.report.value_or(false)) {
    ReportInput report = ranking_report(truth, gallery, queries, rankings, evaluation);
    report.title = "Rankings";
    report.dataset = arguments.title;
    report.run = rankings.name;
    if (parts != nullptr) report.breakdowns.push_back(label_part_table(evaluation, rankings, *parts));
    report.commands = {{"These figures", command_line(arguments.command)}};
    write_report(output->file("report.html"), report);
  }
  Json inputs = {{"rankings", input_json(rankings.name, rankings.checksum)},
                 {"gallery_list", input_json(gallery.name, gallery.checksum)},
                 {"query_lists", Json::array()}};
  for (const ProductList& list : queries) inputs["query_lists"].push_back(input_json(list.name, list.checksum));
  Json about = {{"protocol", protocol_json(arguments.evaluation)}, {"inputs", inputs}};
  if (parts != nullptr) about["label_parts"] = label_parts_json(evaluation, rankings, *parts);
  write_file(output->file("metrics.json"), to_text(metrics_json(truth, rankings, evaluation, about)));
  output->commit();
}

}  // namespace capture
