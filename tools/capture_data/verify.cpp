// capture_data verify: reads every byte of a dataset and names whatever is wrong with it.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "capture/base/error.h"
#include "capture/base/progress.h"
#include "capture/base/terminal.h"
#include "capture/data/dataset.h"
#include "commands.h"

namespace capture {

namespace {

/// Prints problems as they are found: the first ones in full, then only their number.
class Problems {
 public:
  explicit Problems(ProgressBar& progress) : progress_(progress) {}

  void add(const std::string& problem) {
    constexpr int64_t kShown = 100;
    if (++count_ > kShown) return;
    progress_.clear();
    std::printf("%s\n", one_line(problem).c_str());
    if (count_ == kShown) std::printf("… the others are only counted\n");
  }
  int64_t count() const { return count_; }

 private:
  ProgressBar& progress_;
  int64_t count_ = 0;
};

void verify(const std::vector<std::filesystem::path>& paths, int64_t workers) {
  const Dataset dataset(paths);
  ProgressBar progress("verify", dataset.size(), "samples");
  Problems problems(progress);
  dataset.verify([&](const std::string& problem) { problems.add(problem); },
                 [&](int64_t done) { progress.update(done); }, workers);
  progress.clear();
  if (problems.count() > 0) {
    throw UserError({.what = "found " + std::to_string(problems.count()) + " fault" +
                             (problems.count() == 1 ? "" : "s") + " in " + std::to_string(dataset.size()) + " samples",
                     .where = paths.front().string(),
                     .hint = "make the shard again, or fetch it again"});
  }
  std::printf("every checksum and every sample is in order: %lld samples, shards: %zu\n",
              static_cast<long long>(dataset.size()), dataset.shards().size());
}

}  // namespace

void add_verify(CLI::App& app) {
  const auto paths = std::make_shared<std::vector<std::filesystem::path>>();
  const auto workers = std::make_shared<int64_t>(std::max(1U, std::thread::hardware_concurrency()));
  CLI::App* command = app.add_subcommand("verify", "Checks every checksum and every sample of a dataset.");
  command->add_option("dataset", *paths, "Shards (*.capshard) or folders of them")->required();
  command->add_option("--workers", *workers, "Threads")->check(CLI::Range(1, 256))->capture_default_str();
  command->footer("Example: capture_data verify data/train.capshard\nExit code 1 when anything is wrong.");
  command->callback([paths, workers] { verify(*paths, *workers); });
}

}  // namespace capture
