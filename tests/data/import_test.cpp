// Whole imports: lines wherever the pieces are cut, rejects, going on behind a stop.
#include "capture/data/import/import.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "capture/data/dataset.h"
#include "rows.h"
#include "support.h"

namespace capture {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

const std::atomic<bool> kNever = false;

/// Without the sync of write_file: these files are large.
std::filesystem::path write_lines(const std::filesystem::path& path, const std::vector<std::string>& lines) {
  std::ofstream file(path, std::ios::binary);
  for (const auto& line : lines) file << line << "\n";
  return path;
}

ImportOptions options_for(const TemporaryFolder& folder, const std::string& output = "out") {
  ImportOptions options;
  options.features = folder / "rows.tsv";
  options.output = folder / output;
  options.rejects = folder / (output + ".rejects.jsonl");
  options.rules.min_regions = 1;
  options.workers = 2;
  return options;
}

std::vector<Json> rejects_of(const ImportOptions& options) {
  std::vector<Json> rejects;
  if (!std::filesystem::exists(options.rejects)) return rejects;
  std::istringstream lines(read_file(options.rejects));
  for (std::string line; std::getline(lines, line);) rejects.push_back(Json::parse(line));
  return rejects;
}

/// The bytes of every shard and of the index.
std::string bytes_of(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().filename() != "source.json") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  std::string bytes;
  for (const auto& file : files) bytes += file.filename().string() + read_file(file);
  return bytes;
}

TEST(Import, FindsEveryLineWhereverThePiecesAreCut) {
  const TemporaryFolder folder;
  // 8 MB pieces: lines of 5 to 700 kB cross some cuts, one of 25 MB goes through three whole pieces.
  std::vector<std::string> lines;
  for (int64_t i = 0; i < 120; ++i) {
    lines.push_back(good_row(i, i % 7 == 0 ? 36 : 1 + i % 3, i == 60 ? 500000 / 36 : 1000).line());
  }
  for (int64_t i = 120; i < 135; ++i) lines.push_back(good_row(i, 130, 1000).line());
  lines[80] = good_row(80, 4000, 1000).line();
  const size_t bytes = [&] {
    size_t sum = 0;
    for (const auto& line : lines) sum += line.size() + 1;
    return sum;
  }();
  ASSERT_GT(bytes, size_t{32} << 20);
  write_lines(folder / "rows.tsv", lines);
  ImportOptions options = options_for(folder);
  options.rules.max_regions = 130;
  const ImportSummary summary = import_rows(options, kNever);
  EXPECT_EQ(summary.rows, 135);
  EXPECT_EQ(summary.samples, 133);
  const auto rejects = rejects_of(options);
  ASSERT_THAT(rejects, SizeIs(2));
  EXPECT_EQ(rejects[0]["line"], 61);
  EXPECT_EQ(rejects[1]["line"], 81);
  EXPECT_THAT(rejects[1]["reason"].get<std::string>(), HasSubstr("has 4000 boxes"));
  const Dataset dataset(options.output);
  EXPECT_EQ(dataset.sample(60).id(), "item-61");
  EXPECT_EQ(dataset.sample(132).id(), "item-134");
}

TEST(Import, PassesOverALineBeyondItsLimit) {
  const TemporaryFolder folder;
  write_lines(folder / "rows.tsv",
              {good_row(1).line(), std::string((size_t{64} << 20) + (size_t{9} << 20), 'A'), good_row(2).line()});
  const ImportOptions options = options_for(folder);
  EXPECT_EQ(import_rows(options, kNever).samples, 2);
  const auto rejects = rejects_of(options);
  ASSERT_THAT(rejects, SizeIs(1));
  EXPECT_EQ(rejects[0]["line"], 2);
  EXPECT_EQ(rejects[0]["reason"], "is 76546049 bytes long; allowed: 67108864");
}

TEST(Import, GoesOnBehindItsLastWholeShardWithTheSameResult) {
  const TemporaryFolder folder;
  std::vector<std::string> lines;
  for (int64_t i = 0; i < 40; ++i) lines.push_back(i % 9 == 4 ? "spoilt" : good_row(i).line());
  lines.push_back(good_row(3).line());  // a duplicate of what the first shard holds
  write_lines(folder / "rows.tsv", lines);
  ImportOptions whole = options_for(folder, "whole");
  whole.shard_samples = 6;
  EXPECT_EQ(import_rows(whole, kNever).samples, 36);

  ImportOptions stopped = options_for(folder);
  stopped.shard_samples = 6;
  for (int64_t rejects = 0; rejects < 5; ++rejects) {
    stopped.max_rejects = rejects;
    EXPECT_THAT(error_of([&] { import_rows(stopped, kNever); }), HasSubstr("(--max-rejects)"));
  }
  stopped.max_rejects = -1;
  const ImportSummary summary = import_rows(stopped, kNever);
  EXPECT_GT(summary.resumed_rows, 0);
  EXPECT_EQ(bytes_of(whole.output), bytes_of(stopped.output));
  EXPECT_EQ(read_file(whole.rejects), read_file(stopped.rejects));
}

TEST(Import, StopsWhenItIsInterrupted) {
  const TemporaryFolder folder;
  write_lines(folder / "rows.tsv", {good_row(1).line(), good_row(2).line()});
  const std::atomic<bool> at_once = true;
  const ImportOptions options = options_for(folder);
  EXPECT_THAT(error_of([&] { import_rows(options, at_once); }), HasSubstr("interrupted; the same command again"));
  EXPECT_EQ(import_rows(options, kNever).samples, 2);
}

TEST(Import, SaysWhenNoRowIsGood) {
  const TemporaryFolder folder;
  write_lines(folder / "rows.tsv", {"a", "b"});
  EXPECT_THAT(error_of([&] { import_rows(options_for(folder), kNever); }),
              HasSubstr("none of its first rows can be imported; the first, line 1, has 1 column"));
}

}  // namespace
}  // namespace capture
