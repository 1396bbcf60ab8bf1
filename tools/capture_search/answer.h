// What was found, as a table for people and as JSON for programs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "capture/base/json.h"
#include "capture_search/question.h"

namespace capture {

/// A gallery item in an answer.
struct FoundProduct {
  std::string id;
  std::string title;
  std::vector<std::string> labels;
  double score = 0;
  int64_t item = 0;  ///< its number in the gallery
};

struct Answer {
  std::string how;                  ///< "photo against photos and titles"
  std::string recipe;               ///< "pre.image-to-sum"
  std::vector<FoundProduct> found;  ///< best first
};

/// What the question goes by in words: "apple.jpg", "“red apple”", "apple.jpg “red apple”"; very long ones are cut.
std::string name_of(const Question& question);

/// A heading and a table: rank, score, label, title, id; "label" only where it says something that the title does not.
/// Columns are as wide as what stands in them, wide characters too; lines longer than `columns` are made to fit by
/// shortening the longest cells. 0 columns: as long as they come.
///
///     apple.jpg: photo against photos and titles
///      1  0.924  Golden Delicious  Golden-Delicious_Iconic
std::string to_table(const Question& question, const Answer& answer, int64_t columns);

/// {"id", "photo", "title", "recipe", "results": [{"rank", "score", "id", "title", "labels"}]}, what the question did
/// not have left out.
Json to_json(const Question& question, const Answer& answer);

/// {"id", "photo", "title", "error"}.
Json problem_json(const Question& question);

}  // namespace capture
