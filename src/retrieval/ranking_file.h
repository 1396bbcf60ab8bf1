// Ranking files, read on every core and measured line by line as they are read.
#pragma once

#include <filesystem>
#include <vector>

#include "figures.h"

namespace capture {

struct RankingFile {
  Rankings rankings;
  std::vector<RankingFigures> figures;  ///< one a ranking, where they were asked for
};

/// Without `options` no figure is computed. See evaluate_file() and read_rankings().
RankingFile read_ranking_file(const std::filesystem::path& path, const GroundTruth& truth,
                              const EvaluationOptions* options, const KeptOfFile& keep);

}  // namespace capture
