#include "capture/retrieval/label_split.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <unordered_set>

#include "capture/base/error.h"
#include "capture/base/text_lines.h"

namespace capture {

namespace {

std::unordered_set<std::string_view> labels_of(const GroundTruth& truth) {
  std::unordered_set<std::string_view> known;
  for (int32_t item = 0; item < truth.gallery_size(); ++item) {
    if (truth.item_label(item) != kUnknown) known.insert(truth.label_name(truth.item_label(item)));
  }
  for (const GroundTruthQuery& query : truth.queries()) {
    for (const int32_t label : query.distinct_labels) known.insert(truth.label_name(label));
  }
  return known;
}

}  // namespace

const char* name_of(LabelPart part) {
  return part == LabelPart::seen ? "seen" : part == LabelPart::unseen ? "unseen" : "mixed";
}

LabelSplit::LabelSplit(const std::filesystem::path& path, const GroundTruth& truth) {
  const TextLines lines(path);
  const std::unordered_set<std::string_view> known = labels_of(truth);
  std::unordered_set<std::string_view> unseen;
  lines.for_each([&](int64_t line, std::string_view label) {
    if (label.empty()) return;
    const auto found = known.find(label);
    if (found == known.end()) {
      throw UserError({.what = "no query and no gallery item has the label '" + std::string(label) + "'",
                       .where = file_and_line(path, line),
                       .allowed = "labels of the lists, one a line"});
    }
    unseen.insert(*found);
  });
  for (const GroundTruthQuery& query : truth.queries()) {
    const auto count = std::ranges::count_if(query.distinct_labels,
                                             [&](int32_t label) { return unseen.contains(truth.label_name(label)); });
    const bool all = static_cast<size_t>(count) == query.distinct_labels.size();
    parts_.push_back(count == 0 ? LabelPart::seen : all ? LabelPart::unseen : LabelPart::mixed);
  }
}

Evaluation LabelSplit::figures(const Evaluation& evaluation, const Rankings& rankings, LabelPart wanted) const {
  const auto belongs = [&](size_t ranking) {
    const int32_t query = rankings.lines[ranking].query;
    return query != kUnknown && part(query) == wanted;
  };
  Evaluation chosen;
  if (evaluation.official) {
    OfficialResult& official = chosen.official.emplace();
    official.at = evaluation.official->at;
    for (size_t i = 0; i < evaluation.official->lines.size(); ++i) {
      if (!belongs(i)) continue;
      official.lines.push_back(evaluation.official->lines[i]);
      official.groups.push_back(evaluation.official->groups[i]);
    }
  }
  if (evaluation.strict) {
    StrictResult& strict = chosen.strict.emplace();
    strict.at = evaluation.strict->at;
    std::ranges::copy_if(evaluation.strict->lines, std::back_inserter(strict.lines),
                         [&](const StrictLine& line) { return belongs(line.ranking); });
  }
  return chosen;
}

}  // namespace capture
