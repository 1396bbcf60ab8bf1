// The command lines of capture_data import-tsv, import-lmdb and import-list.
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <thread>

#include "capture/base/error.h"
#include "capture/data/import/import.h"
#include "capture/data/import/rejects_file.h"
#include "capture/text/tokenizer.h"
#include "commands.h"

namespace capture {

namespace {

namespace fs = std::filesystem;

/// The command line.
struct Arguments {
  ImportOptions options;
  fs::path tsv;
  fs::path lmdb;
  fs::path tokenizer;
  std::string feature_type = "float16";
  double shard_gigabytes = 4;
};

std::atomic<bool> interrupted = false;

/// The first Ctrl-C or SIGTERM ends the import behind a whole shard, a second one at once.
void end_tidily() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = true; };
  action.sa_flags = SA_RESETHAND;
  for (const int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &action, nullptr);
}

void add_options(CLI::App& app, Arguments& a) {
  ImportOptions& options = a.options;
  options.workers = std::max(1U, std::thread::hardware_concurrency());
  app.add_option("--output", options.output, "Folder of shards to make; an interrupted import goes on in it")
      ->type_name("DIR")
      ->required();
  app.add_option("--feature-type", a.feature_type, "Stored precision")
      ->check(CLI::IsMember({"float32", "float16", "int8"}))
      ->capture_default_str();
  app.add_option("--tokenizer", a.tokenizer,
                 "Store token ids beside the titles: a WordPiece vocabulary, or a sentencepiece *.model")
      ->type_name("FILE");
  app.add_option("--min-regions", options.rules.min_regions, "Reject rows with fewer boxes")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--max-regions", options.rules.max_regions, "Reject rows with more boxes; a record has room for these")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--shard-gigabytes", a.shard_gigabytes, "Size at which a shard ends")
      ->check(CLI::Range(1e-6, 1e6))
      ->capture_default_str();
  app.add_option("--shard-samples", options.shard_samples, "Or after this many samples; 0: any number")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--workers", options.workers, "Threads that decode")->check(CLI::Range(1, 256))->capture_default_str();
  app.add_option("--max-rejects", options.max_rejects, "Stop after more rejected rows than this; -1: never")
      ->capture_default_str();
  app.add_option("--rejects", options.rejects, "Rejected rows as JSON lines (default DIR.rejects.jsonl)")
      ->type_name("FILE");
  app.add_flag("--force", options.start_over, "Delete an earlier import in the output folder and start over");
}

void add_windows_line_ends(CLI::App& app, Arguments& a) {
  app.add_flag("--windows-line-ends", a.options.rules.windows_line_ends, "Take lines that end in \\r\\n");
}

void add_id_info(CLI::App& app, Arguments& a) {
  app.add_option("--id-info", a.options.id_info, "train_id_info.json: titles from there, joined by image id")
      ->type_name("FILE");
}

std::string describe(const ImportOptions& options, const ImportSummary& summary, double seconds) {
  if (summary.rows == summary.resumed_rows && summary.samples > 0) {
    return fmt::format("{}: was imported before, {} samples", options.output.string(), summary.samples);
  }
  std::string text = fmt::format("{}: {} samples of {} rows", options.output.string(), summary.samples, summary.rows);
  if (summary.resumed_rows > 0) text += fmt::format(", {} of them before the interruption", summary.resumed_rows);
  text += fmt::format(", in {:.1f} s", seconds);
  if (summary.rejected > 0) {
    text += fmt::format("\n{}, see {}", rejected_in_words(summary.rejected), options.rejects.string());
  }
  return text;
}

void run(Arguments& a) {
  ImportOptions& options = a.options;
  if (a.tsv.empty() == a.lmdb.empty()) {
    throw UserError({.what = "the features come from one file", .allowed = "either --tsv FILE or --lmdb PATH"});
  }
  if (options.rules.min_regions > options.rules.max_regions) {
    throw UserError(
        {.what = fmt::format("{} is above --max-regions, {}", options.rules.min_regions, options.rules.max_regions),
         .where = "--min-regions"});
  }
  options.format = a.lmdb.empty() ? FeatureFormat::tsv : FeatureFormat::lmdb;
  options.features = a.lmdb.empty() ? a.tsv : a.lmdb;
  options.feature_type = a.feature_type == "float32"   ? FeatureType::float32
                         : a.feature_type == "float16" ? FeatureType::float16
                                                       : FeatureType::int8;
  options.shard_bytes = static_cast<int64_t>(a.shard_gigabytes * 1e9);
  if (options.rejects.empty()) {
    options.rejects = options.output.has_filename() ? options.output : options.output.parent_path();
    options.rejects += ".rejects.jsonl";
  }
  std::unique_ptr<Tokenizer> tokenizer;
  if (!a.tokenizer.empty()) {
    const bool pieces = a.tokenizer.extension() == ".model";
    tokenizer = load_tokenizer(
        {.type = pieces ? TokenizerType::sentencepiece : TokenizerType::wordpiece, .file = a.tokenizer.string()});
  }
  options.tokenizer = tokenizer.get();
  end_tidily();
  const auto start = std::chrono::steady_clock::now();
  const ImportSummary summary = import_rows(options, interrupted);
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  fmt::print("{}\n", describe(options, summary, time.count()));
}

}  // namespace

void add_import_tsv(CLI::App& app) {
  CLI::App* command = app.add_subcommand("import-tsv", "Region features and titles from a TSV file become a dataset.");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("file", arguments->tsv, "image_id, image_w, image_h, num_boxes, boxes, features, title")
      ->type_name("TSV")
      ->required();
  add_id_info(*command, *arguments);
  add_windows_line_ends(*command, *arguments);
  add_options(*command, *arguments);
  command->footer("Example: capture_data import-tsv train.tsv --id-info train_id_info.json --output data/train");
  command->callback([arguments] { run(*arguments); });
}

void add_import_lmdb(CLI::App& app) {
  CLI::App* command = app.add_subcommand("import-lmdb", "Region features and titles from an LMDB become a dataset.");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("database", arguments->lmdb, "As tensorpack's LMDBSerializer writes it, values in MessagePack")
      ->type_name("LMDB")
      ->required();
  add_id_info(*command, *arguments);
  add_options(*command, *arguments);
  command->footer("Example: capture_data import-lmdb train.lmdb --id-info train_id_info.json --output data/train");
  command->callback([arguments] { run(*arguments); });
}

void add_import_list(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("import-list", "The products of a gallery, dev or test list become a dataset with labels.");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("list", arguments->options.list, "product1m_{gallery,dev,test}_ossurl_v2.txt")
      ->type_name("LIST")
      ->required();
  command->add_option("--tsv", arguments->tsv, "Their region features, as import-tsv reads them")->type_name("FILE");
  command->add_option("--lmdb", arguments->lmdb, "Their region features, as import-lmdb reads them")->type_name("PATH");
  add_windows_line_ends(*command, *arguments);
  add_options(*command, *arguments);
  command->footer(
      "Example: capture_data import-list product1m_gallery_ossurl_v2.txt --tsv gallery.tsv --output data/gallery");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace capture
