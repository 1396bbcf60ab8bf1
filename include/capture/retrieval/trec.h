// Rankings and relevance as trec_eval, pytrec_eval, ir_measures and ranx read them.
#pragma once

#include <cstdint>
#include <filesystem>

#include "capture/retrieval/rankings.h"

namespace capture {

/// "query Q0 item rank score tag", the first `depth` items of each ranking (0: all). Those tools rank by score alone,
/// in float32, and break ties their own way: a score that is not below the one before it is written as the next smaller
/// float, so that they see our order. Rankings without scores get minus the rank.
///
/// White space and "%" in an id become %20 and the like, because the format has no other way to hold them. What the
/// format forbids is left out: the second ranking of a query, the second place of an item, a query without an id.
void write_trec_run(const std::filesystem::path& path, const Rankings& rankings, const GroundTruth& truth, size_t depth,
                    const char* tag);

/// "query 0 item 1" for every positive of every query, once, in the order of the gallery.
void write_trec_qrels(const std::filesystem::path& path, const GroundTruth& truth);

}  // namespace capture
