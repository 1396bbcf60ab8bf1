#include "rewrite.h"

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <numeric>
#include <thread>

#include "capture/base/error.h"
#include "capture/base/in_order.h"
#include "capture/base/progress.h"
#include "capture/data/shard_set_writer.h"
#include "capture/text/tokenizer.h"

namespace capture {

namespace {

std::unique_ptr<Tokenizer> tokenizer_of(const RewriteOptions& options) {
  if (options.tokenizer.empty()) return nullptr;
  const bool pieces = options.tokenizer.extension() == ".model";
  return load_tokenizer(
      {.type = pieces ? TokenizerType::sentencepiece : TokenizerType::wordpiece, .file = options.tokenizer.string()});
}

FeatureType feature_type_of(const std::string& name) {
  for (const FeatureType type : {FeatureType::float16, FeatureType::float32}) {
    if (name == name_of(type)) return type;
  }
  return FeatureType::int8;
}

ShardLayout layout_of(const RewriteOptions& options, const Dataset& dataset, const Tokenizer* tokenizer) {
  ShardLayout layout = dataset.shards().front().header().layout;
  layout.max_regions = dataset.max_regions();
  layout.max_views = dataset.max_views();
  if (!options.feature_type.empty()) layout.feature_type = feature_type_of(options.feature_type);
  if (tokenizer != nullptr) layout.tokenizer = mark_of(*tokenizer);
  // Ids that only some of the shards have, or of several tokenizers, are no dataset's.
  if (options.no_token_ids || (tokenizer == nullptr && dataset.tokenizer_fingerprint().empty())) layout.tokenizer = {};
  return layout;
}

/// The first shard's: what made the features is what made them still.
Json origin_of(const Dataset& dataset) {
  return dataset.shards().front().origin();
}

}  // namespace

void add_rewrite_options(CLI::App& command, RewriteOptions& options) {
  options.workers = std::max(1U, std::thread::hardware_concurrency());
  command.add_option("dataset", options.datasets, "Shards (*.capshard) or folders of them")->required();
  command.add_option("--output", options.output, "Folder of shards to make; an interrupted run goes on in it")
      ->type_name("DIR")
      ->required();
  command.add_option("--feature-type", options.feature_type, "Stored precision; as it is if left out")
      ->check(CLI::IsMember({"float16", "float32", "int8"}));
  auto* tokenizer = command.add_option("--tokenizer", options.tokenizer,
                                       "Store token ids: a WordPiece vocabulary, or a sentencepiece *.model");
  tokenizer->type_name("FILE");
  command.add_flag("--no-token-ids", options.no_token_ids, "Store titles alone")->excludes(tokenizer);
  command.add_option("--shard-gigabytes", options.shard_gigabytes, "Size at which a shard ends")
      ->check(CLI::Range(1e-6, 1e6));
  command.add_option("--shard-samples", options.shard_samples, "Or after this many samples; 0: any number")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--workers", options.workers, "Threads")->check(CLI::Range(1, 256));
  command.add_flag("--force", options.force, "Delete the shards of an earlier run and start over");
}

std::string rewrite(const RewriteOptions& options, const Dataset& dataset, const std::vector<int64_t>& chosen,
                    const Json& choice) {
  const std::unique_ptr<Tokenizer> tokenizer = tokenizer_of(options);
  const ShardLayout layout = layout_of(options, dataset, tokenizer.get());
  const auto start = std::chrono::steady_clock::now();
  ShardSetWriter set(options.output, layout, origin_of(dataset),
                     {.shard_bytes = static_cast<int64_t>(options.shard_gigabytes * 1e9),
                      .shard_samples = options.shard_samples,
                      .source = {{"dataset", dataset.fingerprint()},
                                 {"choice", choice},
                                 {"shard_gigabytes", options.shard_gigabytes},
                                 {"shard_samples", options.shard_samples}},
                      .start_over = options.force});
  if (set.complete()) return fmt::format("{}: was written before, {} samples", options.output.string(), set.size());
  const auto first = static_cast<size_t>(set.journal().is_null() ? 0 : set.journal().at("next").get<int64_t>());
  if (first > chosen.size()) throw UserError({.what = "is damaged", .where = (options.output / "index.json").string()});
  ProgressBar progress("write", std::ssize(chosen), "samples");
  in_order(
      chosen.size() - first, static_cast<size_t>(options.workers),
      [&](size_t i) { return encode(layout, dataset.sample(chosen[first + i]), tokenizer.get()); },
      [&](size_t i, EncodedSample sample) {
        const size_t next = first + i + 1;
        set.add(std::move(sample), [&] { return Json{{"next", next}}; });
        progress.update(static_cast<int64_t>(next));
      });
  set.finish();
  progress.clear();
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  int64_t bytes = 0;
  for (const auto& file : std::filesystem::directory_iterator(options.output)) {
    bytes += static_cast<int64_t>(file.file_size());
  }
  return fmt::format("{}: {} samples as {}{}, {:.1f} MB, in {:.1f} s", options.output.string(), set.size(),
                     name_of(layout.feature_type), layout.tokenizer.id_bytes() > 0 ? " with token ids" : "",
                     static_cast<double>(bytes) * 1e-6, time.count());
}

}  // namespace capture
