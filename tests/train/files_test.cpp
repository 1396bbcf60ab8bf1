// metrics.jsonl and event files.
#include "capture/base/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <filesystem>

#include "capture/base/error.h"
#include "capture/train/append_file.h"
#include "capture/train/event_file.h"
#include "capture/train/metrics_file.h"
#include "capture/train/run_log.h"
#include "common/testing.h"

namespace capture {
namespace {

MetricsFile::Keeps up_to(int64_t last) {
  return [last](int64_t step, const Json&) { return step <= last; };
}

TEST(AppendFile, SaysWhenWhatWasAppendedIsNotOnTheDisk) {
  AppendFile file("/dev/null");  // has no disk to be on
  file.append("line\n");
  EXPECT_THROW(file.sync(), UserError);
}

TEST(MetricsFile, DropsWhatTheCheckpointDoesNotKnow) {
  const testing::Folder folder;
  const std::string path = folder.path("metrics.jsonl");
  {
    MetricsFile file(path, up_to(0));
    for (int step = 1; step <= 5; ++step) file.append({{"step", step}, {"loss", 0.1 * step}});
  }
  const std::string all = read_file(path);
  { MetricsFile file(path, up_to(3)); }
  EXPECT_EQ(read_file(path), all.substr(0, all.find("{\"step\":4")));
  {
    MetricsFile file(path, up_to(3));
    for (int step = 4; step <= 5; ++step) file.append({{"step", step}, {"loss", 0.1 * step}});
  }
  EXPECT_EQ(read_file(path), all);
}

TEST(MetricsFile, DropsALineThatWasCutOff) {
  const testing::Folder folder;
  const std::string path = folder.path("metrics.jsonl");
  write_file(path, "{\"step\":1}\n{\"step\":2}\n{\"step\":3,\"lo");
  { MetricsFile file(path, up_to(9)); }
  EXPECT_EQ(read_file(path), "{\"step\":1}\n{\"step\":2}\n");
}

TEST(RunLog, DropsWhatWasMeasuredAfterAStepThatIsMeasuredAgain) {
  const testing::Folder temporary;
  const std::filesystem::path folder = temporary.path("run");
  std::filesystem::create_directory(folder);
  const std::string kept = "{\"step\":1,\"loss\":1}\n{\"step\":1,\"validation\":{}}\n{\"step\":2,\"loss\":1}\n";
  const std::string measured = "{\"step\":2,\"validation\":{}}\n{\"step\":2,\"evaluation\":{}}\n";
  write_file(folder / "metrics.jsonl", kept + measured + "{\"step\":3,\"loss\":1}\n");
  { RunLog log(folder, 2); }
  EXPECT_EQ(read_file(folder / "metrics.jsonl"), kept + measured);
  { RunLog log(folder, 2, /*measured=*/false); }
  EXPECT_EQ(read_file(folder / "metrics.jsonl"), kept);
}

TEST(MetricsFile, AFullDiskLeavesNoHalfLineAndLosesNone) {
  const testing::Folder folder;
  const std::string path = folder.path("metrics.jsonl");
  MetricsFile file(path, up_to(0));
  file.append({{"step", 1}});
  // A limit on file sizes, 5 bytes into the next line, stands for the disk.
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit full{.rlim_cur = read_file(path).size() + 5, .rlim_max = before.rlim_max};
  const auto action = std::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &full);
  EXPECT_THROW(file.append({{"step", 2}}), UserError);
  EXPECT_THROW(file.sync(), UserError);
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, action);
  EXPECT_EQ(read_file(path), "{\"step\":1}\n");
  file.sync();
  EXPECT_EQ(read_file(path), "{\"step\":1}\n{\"step\":2}\n");
}

TEST(EventFile, ChecksumsAreMaskedCrc32c) {
  // The check value of CRC-32C is that of "123456789": 0xE3069283.
  EXPECT_EQ(masked_crc32c("123456789"), ((0xE3069283U >> 15) | (0xE3069283U << 17)) + 0xA282EAD8U);
}

/// The payloads of a TFRecord file; fails the test where a checksum does not fit.
std::vector<std::string> records_of(const std::filesystem::path& folder) {
  std::vector<std::string> records;
  const std::string bytes = read_file(std::filesystem::directory_iterator(folder)->path());
  for (size_t at = 0; at < bytes.size();) {
    uint64_t length = 0;
    uint32_t header = 0;
    uint32_t body = 0;
    std::memcpy(&length, bytes.data() + at, 8);
    std::memcpy(&header, bytes.data() + at + 8, 4);
    EXPECT_EQ(header, masked_crc32c(bytes.substr(at, 8)));
    records.push_back(bytes.substr(at + 12, length));
    std::memcpy(&body, bytes.data() + at + 12 + length, 4);
    EXPECT_EQ(body, masked_crc32c(records.back()));
    at += 16 + length;
  }
  return records;
}

TEST(EventFile, FramesEventsAsTensorBoardReadsThem) {
  const testing::Folder temporary;
  const std::filesystem::path folder = temporary.path("run");
  std::filesystem::create_directory(folder);
  {
    EventFile file(folder, 301);
    file.scalars(310, {{"train/loss", 1.5}});
  }
  const auto records = records_of(folder);
  ASSERT_EQ(records.size(), 3U);
  // Field 1 is the wall time (a double), field 2 the step.
  const auto after_time = [](const std::string& record) { return record.substr(9); };
  EXPECT_EQ(after_time(records[0]), std::string("\x10\x00\x1a\x0d", 4) + "brain.Event:2");
  EXPECT_EQ(after_time(records[1]), std::string("\x10\xad\x02\x3a\x02\x08\x01", 7));
  const std::string value = std::string("\x0a\x0a") + "train/loss" + std::string("\x15\x00\x00\xc0\x3f", 5);
  EXPECT_EQ(after_time(records[2]), std::string("\x10\xb6\x02\x2a\x13\x0a\x11", 7) + value);
}

}  // namespace
}  // namespace capture
