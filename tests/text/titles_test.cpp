#include "capture/text/titles.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "common/testing.h"

namespace capture {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::error_of;
using testing::Folder;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> titles_of(const std::string& name, std::string_view text) {
  const Folder folder;
  TitleReader reader(folder.file(name, text));
  std::vector<std::string> titles;
  for (std::string title; reader.next(title);) titles.push_back(title);
  return titles;
}

TEST(LineReader, CountsALastLineWithoutItsNewline) {
  const Folder folder;
  for (const std::string text : {"one\n\ntwo", "one\n\ntwo\n"}) {
    LineReader reader(folder.file("lines", text));
    std::string_view line;
    std::vector<std::string> lines;
    while (reader.next(line)) lines.emplace_back(line);
    EXPECT_THAT(lines, ElementsAre("one", "", "two"));
    EXPECT_TRUE(reader.where().ends_with("lines:3"));
    EXPECT_FALSE(reader.next(line)) << "the end stays the end";
  }
  LineReader empty(folder.file("empty", ""));
  std::string_view line;
  EXPECT_FALSE(empty.next(line));
}

TEST(LineReader, ReadsLinesLongerThanItsBuffer) {
  const Folder folder;
  std::string text;
  std::vector<std::string> expected;
  for (const size_t length : {0u, 300'000u, 1u, 262'143u, 262'144u, 262'145u, 2'000'000u, 3u}) {
    expected.emplace_back(length, static_cast<char>('a' + expected.size()));
    text += expected.back() + "\n";
  }
  LineReader reader(folder.file("lines", text));
  std::string_view line;
  for (const auto& each : expected) {
    ASSERT_TRUE(reader.next(line));
    EXPECT_EQ(line, each);
  }
  EXPECT_FALSE(reader.next(line));
}

TEST(LineReader, SaysWhenItWouldWait) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  LineReader reader(ends[0], "the pipe");
  ASSERT_EQ(::write(ends[1], "one\ntwo\nthr", 11), 11);
  std::string_view line;
  EXPECT_FALSE(reader.ready());
  ASSERT_TRUE(reader.next(line));
  EXPECT_TRUE(reader.ready());
  ASSERT_TRUE(reader.next(line));
  EXPECT_EQ(line, "two");
  EXPECT_FALSE(reader.ready()) << "half a line is no answer";
  ::close(ends[1]);
  ASSERT_TRUE(reader.next(line));
  EXPECT_EQ(line, "thr");
  EXPECT_EQ(reader.where(), "the pipe:3");
  ::close(ends[0]);
}

TEST(LineReader, RefusesALineWithoutEnd) {
  const Folder folder;
  const std::string path = folder.file("endless", "one\n");
  std::filesystem::resize_file(path, LineReader::kMaxLineBytes + (size_t{2} << 20));
  LineReader reader(path);
  std::string_view line;
  ASSERT_TRUE(reader.next(line));
  EXPECT_THAT(error_of([&] { reader.next(line); }), AllOf(HasSubstr("endless:2"), HasSubstr("64 MiB")));
}

TEST(LineReader, NamesAFileThatCannotBeRead) {
  const Folder folder;
  EXPECT_THAT(error_of([&] { LineReader(folder.path("none")); }), HasSubstr("none"));
  LineReader of_folder(folder.path(""));
  std::string_view line;
  EXPECT_THAT(error_of([&] { of_folder.next(line); }), HasSubstr("directory"));
}

TEST(TitleReader, TakesEveryLineOfATextFile) {
  EXPECT_THAT(titles_of("t.txt", "one\r\n\n two \nthree"), ElementsAre("one", "", " two ", "three"));
  EXPECT_THAT(titles_of("t.txt", ""), IsEmpty());
}

TEST(TitleReader, TakesTheSecondFieldOfAList) {
  EXPECT_THAT(titles_of("list.txt", "1#####a ##b#####http://x#####y#####l1#;#l2\n\n2#####c\r\n"),
              ElementsAre("a ##b", "c"));
  EXPECT_THAT(error_of([] { titles_of("list.txt", "1#####a\nbroken\n"); }),
              AllOf(HasSubstr("list.txt:2"), HasSubstr("second field")));
}

TEST(TitleReader, TakesTheTitleOfJsonLines) {
  EXPECT_THAT(titles_of("t.jsonl", "{\"id\": 1, \"title\": \"a\\u4e2d\"}\n\n{\"title\": \"\"}"),
              ElementsAre("a中", ""));
  for (const std::string line : {"{\"titel\": \"a\"}", "{\"title\": 3}", "[1]", "{\"title\": "}) {
    EXPECT_THAT(error_of([&] { titles_of("t.jsonl", "{\"title\": \"a\"}\n" + line); }), HasSubstr("t.jsonl:2"));
  }
}

}  // namespace
}  // namespace capture
