// The published files become shards: rows of a TSV or LMDB file, by themselves or in the order of a product list.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>

#include "capture/data/import/row.h"
#include "capture/data/sample_view.h"

namespace capture {

class Tokenizer;

enum class FeatureFormat { tsv, lmdb };

struct ImportOptions {
  FeatureFormat format = FeatureFormat::tsv;
  std::filesystem::path features;
  std::filesystem::path list;     ///< empty: every row of the features; else the products of this list, with its titles
                                  ///< and labels, in its order
  std::filesystem::path id_info;  ///< empty: the rows' own titles; else those of this train_id_info.json
  std::filesystem::path output;   ///< the folder of shards to make, or to go on in
  std::filesystem::path rejects;  ///< rejected rows, one JSON object a line; no file when there are none
  RowRules rules;
  FeatureType feature_type = FeatureType::float16;
  const Tokenizer* tokenizer = nullptr;  ///< whose token ids are stored beside the titles; null: none are
  int64_t shard_bytes = int64_t{4} << 30;
  int64_t shard_samples = 0;  ///< 0: any number
  int64_t workers = 1;
  int64_t max_rejects = -1;  ///< more end the import; -1: never
  bool start_over = false;   ///< delete what is in the output folder
};

struct ImportSummary {
  int64_t samples = 0;       ///< in the finished dataset
  int64_t rows = 0;          ///< of the source
  int64_t rejected = 0;      ///< of these
  int64_t resumed_rows = 0;  ///< rows that an earlier, interrupted run had dealt with; all, when it had finished
};

/// Imports in parallel, in bounded memory whatever the size of the files. The shards' bytes depend on the rows alone:
/// not on their format, the number of workers, or how often the import was interrupted, even killed. `interrupted` may
/// be set at any time, by a signal handler too.
///
/// A row that breaks a rule is written to the rejects and left out. UserError when a file cannot be read, the output
/// folder holds something else, too many rows are rejected, none is good, the disk is full, or on an interrupt; started
/// again with the same options, the import then goes on behind its last whole shard.
ImportSummary import_rows(const ImportOptions& options, const std::atomic<bool>& interrupted);

}  // namespace capture
