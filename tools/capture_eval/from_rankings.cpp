// Figures of rankings that somebody else made.
#include <cstdio>
#include <optional>
#include <span>

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

/// The gallery's list and those of queries: ids and labels alone, or, for a report, all that they say.
class Lists {
 public:
  Lists(const EvalArguments& arguments, bool whole) {
    Paths paths = arguments.query_lists;
    paths.insert(paths.begin(), arguments.gallery_list);
    for (const auto& path : paths) {
      if (whole) {
        products_.push_back(read_product_list(path));
      } else {
        labels_.emplace_back(path);
      }
    }
  }

  GroundTruth truth() const {
    return labels_.empty() ? GroundTruth(gallery(), queries())
                           : GroundTruth(labels_.front(), std::span(labels_).subspan(1));
  }

  // When all was read.
  const ProductList& gallery() const { return products_.front(); }
  std::span<const ProductList> queries() const { return std::span(products_).subspan(1); }

  /// The files and their checksums, the gallery's first.
  std::vector<Json> inputs() const {
    std::vector<Json> inputs;
    for (const ProductList& list : products_) inputs.push_back(input_json(list.name, list.checksum));
    for (const LabelList& list : labels_) inputs.push_back(input_json(list.name(), list.checksum()));
    return inputs;
  }

 private:
  std::vector<ProductList> products_;
  std::vector<LabelList> labels_;
};

class RankingsEvaluation {
 public:
  explicit RankingsEvaluation(const EvalArguments& arguments)
      : arguments_(arguments),
        report_(arguments.report.value_or(false)),
        trec_(arguments.trec.value_or(false)),
        lists_(arguments, report_),
        truth_(lists_.truth()) {
    if (!arguments.unseen_labels.empty()) split_.emplace(arguments.unseen_labels, truth_);
    // Ids are kept, and bytes summed, for what is written alone.
    const bool written = !arguments.output.empty();
    const KeptOfFile keep{.items = written && (report_ || trec_), .checksum = written};
    EvaluatedFile file = evaluate_file(arguments.rankings, truth_, arguments.evaluation, keep);
    rankings_ = std::move(file.rankings);
    evaluation_ = std::move(file.evaluation);
  }

  void print() const {
    log_odd_lines(evaluation_);
    for (const ReportProtocol& protocol : protocol_tables(evaluation_)) {
      std::printf("%s\n", protocol.name.c_str());
      for (const ReportTable& table : protocol.tables) {
        std::printf("\n%s", text_table(table).c_str());
        if (!table.note.empty()) std::printf("%s\n", table.note.c_str());
      }
      std::printf("\n");
    }
    if (split_) std::printf("%s", text_table(label_part_table(evaluation_, rankings_, *split_)).c_str());
  }

  void write(OutputFolder& output) const {
    write_query_files(output, truth_, rankings_, evaluation_, split_ ? &*split_ : nullptr);
    if (trec_) write_trec(output, rankings_, truth_);
    output.folder("report_files");
    if (report_) write_report(output.file("report.html"), report());
    write_file(output.file("metrics.json"), to_text(metrics_json(truth_, rankings_, evaluation_, about())));
  }

 private:
  ReportInput report() const {
    ReportInput report = ranking_report(truth_, lists_.gallery(), lists_.queries(), rankings_, evaluation_);
    report.title = "Rankings";
    report.dataset = arguments_.title;
    report.run = rankings_.name;
    if (split_) report.breakdowns.push_back(label_part_table(evaluation_, rankings_, *split_));
    report.commands = {{"These figures", command_line(arguments_.command)}};
    return report;
  }

  /// What metrics.json says besides figures.
  Json about() const {
    const std::vector<Json> lists = lists_.inputs();
    Json inputs = {{"rankings", input_json(rankings_.name, rankings_.checksum)},
                   {"gallery_list", lists.front()},
                   {"query_lists", std::vector(lists.begin() + 1, lists.end())}};
    Json about = {{"protocol", protocol_json(arguments_.evaluation)}, {"inputs", std::move(inputs)}};
    if (split_) about["label_parts"] = label_parts_json(evaluation_, rankings_, *split_);
    return about;
  }

  const EvalArguments& arguments_;
  bool report_;
  bool trec_;
  Lists lists_;
  GroundTruth truth_;
  std::optional<LabelSplit> split_;
  Rankings rankings_;
  Evaluation evaluation_;
};

}  // namespace

void evaluate_rankings(const EvalArguments& arguments) {
  std::optional<OutputFolder> output;
  if (!arguments.output.empty()) output.emplace(arguments.output);
  const RankingsEvaluation evaluation(arguments);
  evaluation.print();
  if (!output) return;
  evaluation.write(*output);
  output->commit();
}

}  // namespace capture
