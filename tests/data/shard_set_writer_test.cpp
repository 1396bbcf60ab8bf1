// Folders of shards: readable while they grow, and the same bytes however often the writer died.
#include "capture/data/shard_set_writer.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <map>

#include "capture/data/dataset.h"
#include "capture/data/shard_index.h"
#include "support.h"

namespace capture {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

const Json kOrigin = {{"made by", "a test"}};

ShardSetOptions options_of(int64_t shard_samples = 0, int64_t shard_bytes = int64_t{4} << 30) {
  return {.shard_bytes = shard_bytes, .shard_samples = shard_samples, .source = {{"rows", "some"}}};
}

/// Adds samples up to `end`, from where the set stands.
void go_on(ShardSetWriter& set, int64_t end) {
  const ShardLayout layout = set.layout();
  for (int64_t i = set.size(); i < end; ++i) {
    set.add(encode(layout, make_sample(layout, i)), [&] { return Json{{"next", i + 1}}; });
  }
}

void write_set(const std::filesystem::path& folder, int64_t samples, const ShardSetOptions& options) {
  ShardSetWriter set(folder, small_layout(), kOrigin, options);
  go_on(set, samples);
  set.finish();
}

/// Every file of a folder with its bytes.
std::map<std::string, std::string> contents(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    files[file.path().filename()] = read_file(file.path());
  }
  return files;
}

TEST(ShardSetWriter, SplitsByCountAndBySize) {
  const TemporaryFolder folder;
  write_set(folder / "count", 25, options_of(10));
  const auto by_count = read_shard_index(folder / "count");
  EXPECT_TRUE(by_count.complete);
  EXPECT_EQ(by_count.samples, 25);
  ASSERT_EQ(by_count.shards.size(), 3U);
  EXPECT_EQ(by_count.shards[1].file, "00001.capshard");
  EXPECT_EQ(by_count.shards[1].samples, 10);
  EXPECT_EQ(by_count.shards[1].bytes,
            static_cast<int64_t>(std::filesystem::file_size(folder / "count" / "00001.capshard")));
  EXPECT_EQ(read_json(folder / "count" / kSourceFile).root, (Json{{"rows", "some"}}));

  // Records of 576 bytes behind a header of 4096: the ninth sample reaches 9000 bytes.
  write_set(folder / "size", 25, options_of(0, 9000));
  const auto by_size = read_shard_index(folder / "size");
  ASSERT_EQ(by_size.shards.size(), 4U);
  EXPECT_EQ(by_size.shards[0].samples, 8);

  const Dataset dataset(folder / "size");
  ASSERT_EQ(dataset.size(), 25);
  for (int64_t i = 0; i < 25; ++i) EXPECT_EQ(dataset.sample(i).id(), "item-" + std::to_string(i));
}

TEST(ShardSetWriter, CanBeReadWhileItGrows) {
  const TemporaryFolder folder;
  ShardSetWriter set(folder / "out", small_layout(), kOrigin, options_of(10));
  EXPECT_THAT(error_of([&] { Dataset{folder / "out"}; }), HasSubstr("the folder holds no shard"));
  go_on(set, 25);
  EXPECT_EQ(Dataset(folder / "out").size(), 20);
  EXPECT_FALSE(read_shard_index(folder / "out").complete);
  set.finish();
  EXPECT_EQ(Dataset(folder / "out").size(), 25);
}

TEST(ShardSetWriter, GoesOnBehindTheLastWholeShard) {
  const TemporaryFolder folder;
  write_set(folder / "whole", 35, options_of(10));
  for (const int64_t stop : {0, 5, 10, 11, 29, 30, 35}) {
    const std::filesystem::path out = folder / ("out" + std::to_string(stop));
    {
      ShardSetWriter set(out, small_layout(), kOrigin, options_of(10));
      go_on(set, stop);
      EXPECT_EQ(set.size(), stop);
    }
    EXPECT_EQ(std::filesystem::exists(out), stop >= 10);
    ShardSetWriter set(out, small_layout(), kOrigin, options_of(10));
    EXPECT_EQ(set.size(), stop / 10 * 10);
    const Json noted = {{"next", stop / 10 * 10}};
    EXPECT_EQ(set.journal(), stop < 10 ? Json() : noted);
    EXPECT_FALSE(set.complete());
    go_on(set, 35);
    set.finish();
    EXPECT_EQ(contents(out), contents(folder / "whole"));
  }
  const ShardSetWriter again(folder / "whole", small_layout(), kOrigin, options_of(10));
  EXPECT_TRUE(again.complete());
  EXPECT_EQ(again.size(), 35);
}

TEST(ShardSetWriter, GivesTheSameBytesHoweverOftenItIsKilled) {
  const TemporaryFolder folder;
  write_set(folder / "whole", 400, options_of(20));
  const std::filesystem::path out = folder / "out";
  int kills = 0;
  for (useconds_t pause = 500;; pause += 2500) {
    const pid_t child = ::fork();
    if (child == 0) {
      write_set(out, 400, options_of(20));
      ::_exit(0);
    }
    ::usleep(pause);
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) break;
    ++kills;
    if (!std::filesystem::exists(out / kShardIndexFile)) continue;
    // What a reader finds between two runs is whole.
    for (const ShardEntry& entry : read_shard_index(out).shards) EXPECT_EQ(Shard(out / entry.file).size(), 20);
  }
  EXPECT_GT(kills, 0);
  EXPECT_EQ(contents(out), contents(folder / "whole"));
}

TEST(ShardSetWriter, KeepsItsWholeShardsWhenTheDiskIsFull) {
  const TemporaryFolder folder;
  write_set(folder / "whole", 25, options_of(10));
  rlimit unlimited{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &unlimited), 0);
  const auto previous = std::signal(SIGXFSZ, SIG_IGN);
  const auto with_limit = [&](rlim_t bytes, const auto& run) {
    const rlimit full{bytes, unlimited.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
    const std::string message = error_of(run);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &unlimited), 0);
    EXPECT_THAT(message, HasSubstr("cannot write the file"));
  };
  {
    ShardSetWriter set(folder / "out", small_layout(), kOrigin, options_of(10));
    go_on(set, 12);
    with_limit(6000, [&] { go_on(set, 25); });
  }
  EXPECT_EQ(Dataset(folder / "out").size(), 10);
  write_set(folder / "out", 25, options_of(10));
  EXPECT_EQ(contents(folder / "out"), contents(folder / "whole"));
  // Not even the first index.
  with_limit(10, [&] { write_set(folder / "none", 25, options_of(10)); });
  std::signal(SIGXFSZ, previous);
}

TEST(ShardSetWriter, FindsAnIdAgainInEveryShard) {
  const TemporaryFolder folder;
  const ShardLayout layout = small_layout();
  const auto twice = [&](ShardSetWriter& set, int64_t number) {
    return error_of([&] { set.add(encode(layout, make_sample(layout, number))); });
  };
  {
    ShardSetWriter set(folder / "out", layout, kOrigin, options_of(10));
    go_on(set, 25);
    for (const int64_t number : {0, 9, 10, 24}) {
      EXPECT_THAT(twice(set, number), HasSubstr("sample \"item-" + std::to_string(number) + "\": was added before"));
    }
    EXPECT_EQ(set.size(), 25);
  }
  // Gone on from the notes of ids, or, where these are damaged or gone, from the shards themselves.
  write_file(folder / "out" / "00000.ids", "something else");
  const std::string notes = read_file(folder / "out" / "00001.ids");
  for (const std::string& found : {notes, std::string(notes.size(), 'x'), std::string()}) {
    write_file(folder / "out" / "00001.ids", found);
    ShardSetWriter set(folder / "out", layout, kOrigin, options_of(10));
    for (const int64_t number : {0, 9, 10, 19}) EXPECT_THAT(twice(set, number), HasSubstr("was added before"));
    EXPECT_EQ(twice(set, 24), "");
  }
}

TEST(ShardSetWriter, GoesOnWithoutALookAtWholeShardsRecords) {
  const TemporaryFolder folder;
  {
    ShardSetWriter set(folder / "out", small_layout(), kOrigin, options_of(10));
    go_on(set, 10);
  }
  // A record that cannot be read: verify's business, and no reason not to go on.
  const std::filesystem::path shard = folder / "out" / "00000.capshard";
  const auto record = static_cast<std::streamoff>(Shard(shard).header().records_at);
  std::fstream(shard, std::ios::binary | std::ios::in | std::ios::out).seekp(record + 8).write("\xFF\xFF\xFF\xFF", 4);
  EXPECT_NE(error_of([&] { Shard(shard).sample(0); }), "");
  write_set(folder / "out", 25, options_of(10));
  EXPECT_EQ(Dataset(folder / "out").size(), 25);
}

TEST(ShardSetWriter, KeepsFilesThatBelongToTheSet) {
  const TemporaryFolder folder;
  const std::filesystem::path out = folder / "out";
  ShardSetOptions options = options_of(10);
  options.beside = {"scaling"};
  {
    ShardSetWriter set(out, options);
    write_file(out / "scaling", "numbers");
    set.begin(small_layout(), kOrigin);
    go_on(set, 15);
  }
  {
    ShardSetWriter set(out, options);
    EXPECT_EQ(set.size(), 10);
    EXPECT_EQ(set.journal(), (Json{{"next", 10}}));
    EXPECT_THAT(error_of([&] {
                  set.begin(small_layout(), {{"made by", "another"}});
                }),
                HasSubstr("from another source"));
  }
  EXPECT_EQ(read_file(out / "scaling"), "numbers");
  EXPECT_THAT(error_of([&] { ShardSetWriter(out, options_of(11)); }), "");
  options.start_over = true;
  ShardSetWriter(out, options);
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST(ShardSetWriter, IsOneAtATime) {
  const TemporaryFolder folder;
  const auto open = [&] { return ShardSetWriter(folder / "out", small_layout(), kOrigin, options_of(10)).size(); };
  {
    ShardSetWriter set(folder / "out", small_layout(), kOrigin, options_of(10));
    EXPECT_THAT(error_of(open), HasSubstr("out: another process is writing into the folder"));
    go_on(set, 10);
  }
  EXPECT_EQ(open(), 10);
}

TEST(ShardSetWriter, GoesOnWithItsOwnBeginningAlone) {
  const TemporaryFolder folder;
  const std::filesystem::path out = folder / "out";
  const auto open = [&](const ShardLayout& layout, const Json& origin, const ShardSetOptions& options) {
    return error_of([&] { ShardSetWriter(out, layout, origin, options); });
  };
  const auto refuses_others = [&](const char* message) {
    ShardSetOptions other = options_of(10);
    other.source = {{"rows", "others"}};
    EXPECT_THAT(open(small_layout(), kOrigin, other), HasSubstr(message));
    EXPECT_THAT(open(small_layout(FeatureType::int8), kOrigin, options_of(10)), HasSubstr(message));
    EXPECT_THAT(open(small_layout(), {{"made by", "another"}}, options_of(10)), HasSubstr(message));
  };
  {
    ShardSetWriter set(out, small_layout(), kOrigin, options_of(10));
    go_on(set, 15);
  }
  refuses_others("holds the beginning of an import from another source");
  write_set(out, 15, options_of(10));
  refuses_others("holds an import from another source");

  ShardSetOptions fresh = options_of(10);
  fresh.start_over = true;
  write_set(out, 7, fresh);
  EXPECT_THAT(folder.names(), ElementsAre("out"));
  EXPECT_EQ(Dataset(out).size(), 7);
  EXPECT_EQ(contents(out).size(), 3U);
}

TEST(ShardSetWriter, TouchesNobodyElsesFiles) {
  const TemporaryFolder folder;
  const auto open = [&](bool start_over) {
    ShardSetOptions options = options_of(10);
    options.start_over = start_over;
    return error_of([&] { ShardSetWriter(folder / "out", small_layout(), kOrigin, options); });
  };
  std::filesystem::create_directory(folder / "out");
  write_samples(folder / "out" / "00000.capshard", small_layout(), 3);
  EXPECT_THAT(open(false), HasSubstr("the output folder holds \"00000.capshard\""));
  write_file(folder / "out" / "notes.txt", "mine");
  EXPECT_THAT(open(true), HasSubstr("\"notes.txt\", which no import wrote"));
  EXPECT_EQ(contents(folder / "out").size(), 2U);
}

TEST(ShardSetWriter, NamesAShardThatIsMissingOrChanged) {
  const TemporaryFolder folder;
  const std::filesystem::path out = folder / "out";
  {
    ShardSetWriter set(out, small_layout(), kOrigin, options_of(10));
    go_on(set, 25);
  }
  const auto open = [&] { ShardSetWriter(out, small_layout(), kOrigin, options_of(10)); };
  write_samples(out / "00001.capshard", small_layout(), 10, 100);
  EXPECT_THAT(error_of(open), HasSubstr("00001.capshard: is not the shard that the index names"));
  EXPECT_THAT(error_of([&] { Dataset{out}; }), HasSubstr("00001.capshard: is another shard than when the index"));
  std::filesystem::remove(out / "00001.capshard");
  EXPECT_THAT(error_of(open), HasSubstr("00001.capshard: cannot open the file"));
  EXPECT_THAT(error_of([&] { Dataset{out}; }),
              HasSubstr("00001.capshard: is missing; allowed: the shard that index.json names"));
}

}  // namespace
}  // namespace capture
