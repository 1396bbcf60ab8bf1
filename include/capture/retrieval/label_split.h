// Products that training never showed, and how well they are found all the same.
#pragma once

#include <array>
#include <filesystem>
#include <vector>

#include "capture/retrieval/protocols.h"

namespace capture {

/// Which of a query's labels stand in a list of unseen ones.
enum class LabelPart {
  seen,    ///< none
  unseen,  ///< all
  mixed    ///< some
};
inline constexpr std::array kLabelParts = {LabelPart::seen, LabelPart::unseen, LabelPart::mixed};

/// "seen", "unseen", "mixed".
const char* name_of(LabelPart part);

class LabelSplit {
 public:
  /// Reads the labels, one a line; empty lines are passed over. UserError, naming the line, when neither the gallery
  /// nor a query has such a label: a slip would move queries to the other side unnoticed.
  LabelSplit(const std::filesystem::path& path, const GroundTruth& truth);

  LabelPart part(int32_t query) const { return parts_[static_cast<size_t>(query)]; }

  /// The figures of the queries of this part alone. Unknown queries are in none.
  Evaluation figures(const Evaluation& evaluation, const Rankings& rankings, LabelPart part) const;

 private:
  std::vector<LabelPart> parts_;  // by query
};

}  // namespace capture
