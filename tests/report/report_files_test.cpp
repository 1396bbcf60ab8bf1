// The report as files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/report/report.h"
#include "whole_report.h"

namespace capture {
namespace {

using testing::kJpeg;
using testing::whole;
using testing::with_queries;

std::filesystem::path scratch(const std::string& name) {
  const auto folder = std::filesystem::path(::testing::TempDir()) / ("capture_report_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  return folder / name;
}

TEST(Report, PutsPhotosBesideThePage) {
  const std::filesystem::path path = scratch("page.html");
  write_report(path, with_queries(20));
  const auto folder = scratch("page_files");
  EXPECT_EQ(read_file(folder / "g1.jpg"), kJpeg);
  EXPECT_TRUE(std::filesystem::exists(folder / "q19.jpg"));
  write_report(path, with_queries(19));  // an older folder gives way
  EXPECT_FALSE(std::filesystem::exists(folder / "q19.jpg"));
  write_file(folder / "thesis.txt", "years of work");
  EXPECT_THROW(write_report(path, with_queries(20)), UserError);
  EXPECT_EQ(read_file(folder / "thesis.txt"), "years of work");
  std::filesystem::remove_all(path.parent_path());
}

TEST(Report, IsWrittenWholeOrNotAtAll) {
  const std::filesystem::path path =
      std::filesystem::path(::testing::TempDir()) / ("capture_report_test_" + std::to_string(::getpid()) + ".html");
  write_report(path, whole());
  EXPECT_EQ(read_file(path), render_report(whole()).html);
  std::filesystem::remove(path);
  EXPECT_THROW(write_report(path / "not" / "a" / "folder.html", whole()), UserError);
}

}  // namespace
}  // namespace capture
