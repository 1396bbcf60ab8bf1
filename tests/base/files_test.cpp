#include "capture/base/files.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "capture/base/block_checksum.h"
#include "capture/base/bulk_file.h"
#include "capture/base/lost_file.h"
#include "common/small_disk.h"
#include "common/testing.h"

namespace capture {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::error_of;
using testing::Folder;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(AtomicFile, AppearsWholeOnCommit) {
  const Folder folder;
  const std::string path = folder.file("out", "before");
  AtomicFile file(path);
  file.write("hello ");
  file.write(bytes_of("world"));
  EXPECT_EQ(file.size(), 11u);
  EXPECT_EQ(testing::read(path), "before") << "nothing shows until commit()";
  file.write_at(6, bytes_of("there"));
  EXPECT_EQ(file.size(), 11u);
  file.commit();
  EXPECT_EQ(testing::read(path), "hello there");
  EXPECT_THAT(folder.names(), ElementsAre("out"));
}

TEST(AtomicFile, LeavesNothingBehindWithoutCommit) {
  const Folder folder;
  {
    AtomicFile file(folder.path("out"));
    file.write("half");
  }
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST(AtomicFile, KnowsTheNamesThatItWritesUnder) {
  const Folder folder;
  const AtomicFile file(folder.path("notes.part-1.txt"));
  ASSERT_EQ(folder.names().size(), 1u);
  EXPECT_TRUE(AtomicFile::is_aside(folder.path(folder.names().front())));
  for (const char* name : {"metrics.jsonl.part-4711-0", "run.part-1/a.part-1-2"}) {
    EXPECT_TRUE(AtomicFile::is_aside(name)) << name;
  }
  for (const char* name : {"notes.part-1.txt", "notes.part-1", "notes.part-1-", "notes.part--1", "notes.part-1-2.txt",
                           "notes.part-1-2-3", "notes.part-a-1", ".part-1-2", "notespart-1-2", "a.part-1-2/notes"}) {
    EXPECT_FALSE(AtomicFile::is_aside(name)) << name;
  }
}

TEST(AtomicFile, LetsTwoWritersOfOneFileFinish) {
  const Folder folder;
  AtomicFile first(folder.path("out"));
  AtomicFile second(folder.path("out"));
  first.write("first");
  second.write("the second");
  second.commit();
  first.commit();
  EXPECT_EQ(testing::read(folder.path("out")), "first") << "whole, the later one's";
  EXPECT_THAT(folder.names(), ElementsAre("out"));
}

TEST(AtomicFile, SaysThatTheDiskIsFullAndCleansUp) {
  const Folder folder;
  const std::string before = folder.file("out", "before");
  const std::string text(100'000, 'x');
  std::string said;
  {
    const testing::SmallDisk small(4096);
    said = error_of([&] { write_file(before, text); });
  }
  EXPECT_THAT(said, AllOf(HasSubstr(before), HasSubstr("write the file"), HasSubstr("another folder")));
  EXPECT_EQ(testing::read(before), "before");
  EXPECT_THAT(folder.names(), ElementsAre("out"));
}

TEST(AtomicFile, NamesAPlaceThatCannotBeWritten) {
  const Folder folder;
  EXPECT_THAT(error_of([&] { write_file(folder.path("none/out"), "x"); }),
              AllOf(HasSubstr("none/out"), HasSubstr("check the path")));
  std::filesystem::create_directory(folder.path("folder"));
  EXPECT_THAT(error_of([&] { write_file(folder.path("folder"), "x"); }), HasSubstr("is a folder"));
  EXPECT_THAT(folder.names(), ElementsAre("folder"));
}

TEST(AtomicFile, NeverTakesTheNameOfADevice) {
  const Folder folder;
  const std::string pipe = folder.path("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(error_of([&] { write_file(pipe, "x"); }), HasSubstr("not a regular file"));
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
}

TEST(BulkFile, HoldsWhatWasWrittenInPiecesOfAnySize) {
  const Folder folder;
  for (const size_t size : {size_t{0}, size_t{1000}, size_t{4} << 20, (size_t{9} << 20) + 777}) {
    const std::string bytes = testing::numbered_bytes(size);
    BulkFile file(folder.path("out"));
    size_t piece = 1;
    for (size_t at = 0; at < size; piece = piece * 3 % 3'000'017) {
      const auto part = std::string_view(bytes).substr(at, piece);
      file.write(part);
      at += part.size();
    }
    EXPECT_EQ(file.size(), size);
    const std::string head = bytes.substr(0, 100);
    file.commit(bytes_of(head));
    EXPECT_TRUE(testing::read(folder.path("out")) == bytes) << size;
    EXPECT_THAT(folder.names(), ElementsAre("out"));
  }
}

TEST(BulkFile, FillsInItsHeadInTheEnd) {
  const Folder folder;
  BulkFile file(folder.path("out"));
  const std::string bytes = testing::numbered_bytes(size_t{41} << 20);
  file.write(bytes);  // at once, so that chunks wait for the disk in a queue
  file.commit(bytes_of("head"));
  EXPECT_TRUE(testing::read(folder.path("out")) == "head" + bytes.substr(4));
}

TEST(BulkFile, LeavesNothingBehindWithoutCommit) {
  const Folder folder;
  {
    BulkFile file(folder.path("out"));
    file.write(std::string(size_t{13} << 20, 'x'));
  }
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST(BulkFile, SaysThatTheDiskIsFullAndCleansUp) {
  const Folder folder;
  const std::string text(size_t{64} << 20, 'x');
  for (const rlim_t room : {rlim_t{4096}, rlim_t{6} << 20}) {
    const testing::SmallDisk small(room);
    const std::string said = error_of([&] {
      BulkFile file(folder.path("out"));
      file.write(text);
      file.commit();
    });
    EXPECT_THAT(said, AllOf(HasSubstr("out"), HasSubstr("write the file"), HasSubstr("another folder")));
  }
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST(ReadFile, GivesAllBytesUpToItsLimit) {
  const Folder folder;
  const std::string text("a\0b\n", 4);
  EXPECT_EQ(read_file(folder.file("f", text)), text);
  EXPECT_EQ(read_file(folder.file("empty", "")), "");
  EXPECT_EQ(read_file(folder.path("f"), 4), text);
  EXPECT_THAT(error_of([&] { read_file(folder.path("f"), 3); }), AllOf(HasSubstr("4 bytes"), HasSubstr("at most 3")));
  EXPECT_THAT(error_of([&] { read_file(folder.path("")); }), HasSubstr("is a folder"));
  EXPECT_THAT(error_of([&] { read_file(folder.path("none")); }), HasSubstr("none"));
}

TEST(MappedFile, ShowsTheFilesBytes) {
  const Folder folder;
  MappedFile map(folder.file("f", "hello"));
  ASSERT_EQ(map.size(), 5u);
  EXPECT_EQ(std::memcmp(map.bytes().data(), "hello", 5), 0);
  MappedFile moved = std::move(map);
  EXPECT_EQ(moved.size(), 5u);
  EXPECT_EQ(map.size(), 0u);  // NOLINT: a moved-from map is empty
  map = std::move(moved);
  EXPECT_EQ(std::memcmp(map.bytes().data(), "hello", 5), 0);
}

TEST(MappedFile, MapsAnEmptyFileToNothing) {
  const Folder folder;
  const MappedFile map(folder.file("f", ""));
  EXPECT_TRUE(map.bytes().empty());
  map.prefetch(0, 10);
}

TEST(MappedFile, TakesAnyPrefetch) {
  const Folder folder;
  const MappedFile map(folder.file("f", std::string(20'000, 'x')));
  map.prefetch(5000, SIZE_MAX);
  map.prefetch(SIZE_MAX, SIZE_MAX);
  map.prefetch(0, 0);
  EXPECT_EQ(std::ranges::count(map.bytes(), std::byte{'x'}), 20'000);
}

TEST(MappedFile, RefusesWhatIsNoFile) {
  const Folder folder;
  EXPECT_THAT(error_of([&] { MappedFile(folder.path("none")); }), HasSubstr("none"));
  EXPECT_THAT(error_of([&] { MappedFile(folder.path("")); }), HasSubstr("is a folder"));
  EXPECT_THAT(error_of([&] { MappedFile("/dev/null"); }), HasSubstr("not a regular file"));
}

TEST(IsThere, NeverThrows) {
  const Folder folder;
  EXPECT_TRUE(is_there(folder.path("")));
  EXPECT_TRUE(is_there(folder.file("file", "")));
  std::filesystem::create_symlink("circle", folder.path("circle"));
  for (const std::string& name : {std::string("none"), std::string("file/x"), std::string("circle"),
                                  std::string("circle/x"), std::string(300, 'x')}) {
    EXPECT_FALSE(is_there(folder.path(name))) << name;
  }
}

TEST(MakeFolder, MakesParentsAndSaysWhatIsInTheWay) {
  const Folder folder;
  make_folder(folder.path("a/b/c"));
  make_folder(folder.path("a/b/c"));
  EXPECT_TRUE(std::filesystem::is_directory(folder.path("a/b/c")));
  folder.file("file", "");
  EXPECT_THAT(error_of([&] { make_folder(folder.path("file")); }), HasSubstr("file"));
  EXPECT_THAT(error_of([&] { make_folder(folder.path("file/below")); }), HasSubstr("file/below"));
}

TEST(Checksum, IsThePublishedXxh3) {
  EXPECT_EQ(to_hex(checksum(std::string_view())), "2d06800538d394c2");
  EXPECT_NE(checksum("a"), checksum("b"));
  EXPECT_EQ(to_hex(0xAB), "00000000000000ab");
}

TEST(LostFile, IsNamedWhereTheSystemWouldKillWithoutAWord) {
  const Folder folder;
  const auto path = folder.path("mapped");
  write_file(path, std::string(9000, 'x'));
  const auto read_what_is_gone = [&] {
    explain_lost_files("program");
    const MappedFile file(path);
    std::filesystem::resize_file(path, 0);
    std::fprintf(stderr, "%d", static_cast<int>(file.bytes()[5000]));
  };
  EXPECT_EXIT(read_what_is_gone(), ::testing::ExitedWithCode(1), "^program: /.*/mapped: the file was shortened");
}

TEST(LostFile, IsNamedOnceWhereSeveralThreadsReadIt) {
  const Folder folder;
  const auto path = folder.path("mapped");
  write_file(path, "");
  const auto read_what_is_gone = [&] {
    explain_lost_files("program");
    std::filesystem::resize_file(path, uint64_t{256} << 20);
    const MappedFile file(path);
    std::filesystem::resize_file(path, 0);
    block_checksum(file.bytes(), 8);
  };
  for (int i = 0; i < 5; ++i) {
    EXPECT_EXIT(read_what_is_gone(), ::testing::ExitedWithCode(1),
                "^program: /.*/mapped: the file was shortened[^\n]*\n$");
  }
}

}  // namespace
}  // namespace capture
