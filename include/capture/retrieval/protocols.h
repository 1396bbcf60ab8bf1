// Both protocols over all queries: product1m_official, which reproduces the published script and its odd treatment of
// odd lines, and strict, which refuses them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "capture/base/json.h"
#include "capture/retrieval/metrics.h"
#include "capture/retrieval/rankings.h"

namespace capture {

/// Which queries a mean runs over.
enum class QueryGroup { all, single, multi };  // single and multi: queries that show one product, or several

/// The group's name in files and tables: "all", "single", "multi".
const char* name_of(QueryGroup group);

struct OfficialMeans {
  double mean_average_precision = 0;
  double precision = 0;
  double mean_average_recall = 0;
};

struct OfficialResult {
  std::vector<int64_t> at;
  std::vector<std::vector<OfficialScores>> lines;  ///< [line of the rankings][cutoff]
  std::vector<QueryGroup> groups;                  ///< of each line; all: the query is unknown, so it is in neither
  std::vector<OddLine> odd;                        ///< lines the script gives up on, and what else is odd

  /// How many lines the means run over. Unknown queries count in `all` alone.
  int64_t count(QueryGroup group) const;
  /// One a cutoff; zeros for a group without lines.
  std::vector<OfficialMeans> means(QueryGroup group) const;
};

struct StrictMeans {
  std::vector<StrictScores> at = {};  ///< one a cutoff; every member a mean
  double r_precision = 0;
  double mean_reciprocal_rank = 0;
};

struct StrictLine {
  size_t ranking = 0;                 ///< index into the rankings
  std::vector<StrictScores> at = {};  ///< one a cutoff
  double r_precision = 0;
  double reciprocal_rank = 0;
  QueryGroup group = QueryGroup::single;
};

struct StrictResult {
  std::vector<int64_t> at;
  std::vector<StrictLine> lines;  ///< in the order of the rankings; skipped queries left out
  std::vector<OddLine> skipped;   ///< queries without a positive that were left out on request

  int64_t count(QueryGroup group) const;
  StrictMeans means(QueryGroup group) const;
};

enum class Protocol { product1m_official, strict, both };

struct EvaluationOptions {
  Protocol protocol = Protocol::both;
  std::vector<int64_t> at = {10, 50, 100};  ///< the cutoffs N, each at least 1
  bool skip_unanswerable = false;
};

/// What was asked for.
struct Evaluation {
  std::optional<OfficialResult> official;
  std::optional<StrictResult> strict;
};

/// Figures of rankings, computed on every core. Under product1m_official every line counts, the odd ones as the
/// published script counts them.
///
/// strict: UserError, naming the first offence and counting the others, when a list names a gallery id twice, names a
/// query twice with other labels or has a line with too many fields; a ranked query is in no list, is ranked twice or
/// ranks nothing; a listed query is not ranked; a ranking holds an id that the gallery lacks, or an id twice; or a
/// query has no positive in the gallery. The last kind alone is left out instead when `skip_unanswerable` is set.
Evaluation evaluate(const GroundTruth& truth, const Rankings& rankings, const EvaluationOptions& options);

/// A ranking file and its figures.
struct EvaluatedFile {
  Rankings rankings;  ///< unless items were to be kept, without them, and with the first unknown id of a line alone
  Evaluation evaluation;
};

/// What to keep of a ranking file besides its figures.
struct KeptOfFile {
  bool items = false;
  bool checksum = false;
};

/// The same of a ranking file, each line of which is measured as it is read: what is not kept takes no memory. Under
/// product1m_official alone, and when items are not kept, no line is looked at past the greatest cutoff: no figure
/// depends on what stands there. UserError also where read_rankings() has one.
EvaluatedFile evaluate_file(const std::filesystem::path& path, const GroundTruth& truth,
                            const EvaluationOptions& options, const KeptOfFile& keep);

/// {"top10": {"mAP", "Prec", "mAR"}, …}.
Json to_json(const OfficialResult& result, QueryGroup group);
/// {"top10": {"mAP", "Prec", "Recall", "hit_rate", "label_coverage"}, …, "R-Precision", "MRR"}.
Json to_json(const StrictResult& result, QueryGroup group);

}  // namespace capture
