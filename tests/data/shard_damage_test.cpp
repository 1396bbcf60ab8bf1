// Shards that were damaged or forged: nothing goes unnoticed or leads outside the file.
#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <limits>

#include "capture/data/shard.h"
#include "support.h"

namespace capture {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// Without the sync of write_file, because tests write many files.
void overwrite(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

void set_byte(const std::filesystem::path& path, size_t at, char value) {
  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out).seekp(static_cast<std::streamoff>(at)).put(value);
}

TEST(Shard, NoticesTheFileCutShortAnywhere) {
  const TemporaryFolder folder;
  write_samples(folder / "a.capshard", layout_with_ids(FeatureType::int8), 3);
  const std::string whole = read_file(folder / "a.capshard");
  for (size_t length = 0; length < whole.size(); length += length < 200 ? 1 : 37) {
    overwrite(folder / "cut.capshard", whole.substr(0, length));
    EXPECT_THAT(error_of([&] { Shard{folder / "cut.capshard"}; }), HasSubstr("cut.capshard: is ")) << length;
  }
  overwrite(folder / "long.capshard", whole + std::string(8, '\0'));
  EXPECT_THAT(error_of([&] { Shard{folder / "long.capshard"}; }), HasSubstr("is cut short or damaged"));
}

/// Looks at everything that a reader can look at.
void read_everything(const Shard& shard) {
  std::vector<float> features;
  for (int64_t i = 0; i < shard.size(); ++i) {
    const SampleView sample = shard.sample(i);
    sample.titles();
    sample.labels();
    for (int64_t v = 0; v < sample.view_count(); ++v) {
      const RegionsView regions = sample.regions(v);
      features.resize(static_cast<size_t>(regions.count * regions.feature_width));
      regions.copy_features(features.data());
    }
  }
}

TEST(Shard, NoticesEveryFlippedByte) {
  const TemporaryFolder folder;
  write_samples(folder / "a.capshard", layout_with_ids(FeatureType::int8), 3);
  const std::string whole = read_file(folder / "a.capshard");
  for (size_t at = 0; at < whole.size(); ++at) {
    set_byte(folder / "a.capshard", at,
             static_cast<char>(whole[at] ^ (at % 3 == 0   ? 0x01
                                            : at % 3 == 1 ? 0x80
                                                          : 0xFF)));
    const std::string refused = error_of([&] {
      EXPECT_THAT(problems_of(folder / "a.capshard"), Not(IsEmpty())) << at;
      read_everything(Shard(folder / "a.capshard"));
    });
    if (at < 4096) {
      EXPECT_THAT(refused, HasSubstr("a.capshard: is ")) << at;
    }
    set_byte(folder / "a.capshard", at, whole[at]);
  }
}

/// Puts `value` at `offset` of record 1 and mends the checksums, as a hostile writer would.
void forge_record(const std::filesystem::path& path, size_t offset, uint32_t value) {
  std::string bytes = read_file(path);
  const ShardHeader header = Shard(path).header();
  std::memcpy(&bytes[static_cast<size_t>(header.records_at + header.record_bytes) + offset], &value, sizeof value);
  overwrite(path, bytes);
}

TEST(Shard, RefusesTokenIdsThatNoVocabularyHas) {
  const TemporaryFolder folder;
  ShardLayout layout = small_layout();
  layout.tokenizer = {.fingerprint = "f", .vocabulary_size = 1000};
  Sample sample = make_sample(layout, 1);
  sample.token_ids[0] = {999};
  ShardWriter writer(folder / "a.capshard", layout);
  writer.add(sample);
  writer.finish();
  const std::string whole = read_file(folder / "a.capshard");
  const size_t blobs_at = static_cast<size_t>(Shard(folder / "a.capshard").header().blobs_at);
  const size_t ids_at = blobs_at + sample.id.size() + 4 + sample.titles[0].size();
  const auto refused = [&](size_t at, char value) {
    std::string bytes = whole;
    bytes[at] = value;
    overwrite(folder / "b.capshard", bytes);
    return error_of([&] { Shard(folder / "b.capshard").sample(0); });
  };
  EXPECT_THAT(refused(ids_at + 4, '\xE8'), HasSubstr("has the token id 1000; allowed: 0 to 999"));
  EXPECT_THAT(refused(ids_at, 1), HasSubstr("do not add up"));
  EXPECT_THAT(refused(ids_at, 3), HasSubstr("do not add up"));
}

TEST(Shard, RefusesRecordsThatPointElsewhere) {
  const TemporaryFolder folder;
  // Offsets inside a record, see docs/shards.md.
  const std::vector<std::pair<size_t, const char*>> fields = {{0, "points outside"},
                                                              {4, "points outside"},
                                                              {8, "points outside"},
                                                              {12, "points outside"},
                                                              {16, "points outside"},
                                                              {20, "points outside"},
                                                              {24, "do not add up"},
                                                              {28, "claims 4294967295 views"},
                                                              {32, "without pixels"},
                                                              {36, "without pixels"},
                                                              {40, "claims 4294967295 regions"}};
  for (const auto& [offset, message] : fields) {
    write_samples(folder / "a.capshard", small_layout(), 3);
    forge_record(folder / "a.capshard", offset, offset == 32 || offset == 36 ? 0 : 0xFFFFFFFF);
    const Shard shard(folder / "a.capshard");
    EXPECT_EQ(shard.sample(0).id(), "item-0");
    EXPECT_THAT(error_of([&] { shard.sample(1); }),
                testing::AllOf(HasSubstr("a.capshard, sample 1: "), HasSubstr(message)))
        << offset;
    EXPECT_EQ(shard.sample(2).id(), "item-2");
  }
}

/// Rewrites a header's JSON with `change`, checksum included.
template <class Change>
void forge_header(const std::filesystem::path& path, const Change& change) {
  std::string bytes = read_file(path);
  uint64_t length = 0;
  std::memcpy(&length, &bytes[8], sizeof length);
  Json json = Json::parse(bytes.substr(32, length));
  change(json);
  std::string text = json.dump();
  text.resize(length, ' ');
  const uint64_t digest = checksum(text);
  bytes.replace(32, length, text);
  std::memcpy(&bytes[16], &digest, sizeof digest);
  overwrite(path, bytes);
}

TEST(Shard, RefusesHeadersThatContradictTheFile) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::function<void(Json&)>& change) {
    write_samples(folder / "a.capshard", small_layout(), 20);
    forge_header(folder / "a.capshard", change);
    return error_of([&] { Shard{folder / "a.capshard"}; });
  };
  EXPECT_EQ(refused([](Json&) {}), "");
  EXPECT_THAT(refused([](Json& h) { h["samples"] = int64_t{1} << 61; }), HasSubstr("more than fit"));
  EXPECT_THAT(refused([](Json& h) { h["samples"] = 2; }), HasSubstr("do not follow"));
  EXPECT_THAT(refused([](Json& h) { h["samples"] = 0; }), HasSubstr("samples is 0"));
  EXPECT_THAT(refused([](Json& h) { h["samples"] = 2.5; }), HasSubstr("samples is 2.5"));
  EXPECT_THAT(refused([](Json& h) { h["layout"]["feature_width"] = 100; }), HasSubstr("records have"));
  EXPECT_THAT(refused([](Json& h) { h["layout"]["feature_width"] = int64_t{1} << 40; }), HasSubstr("feature_width"));
  EXPECT_THAT(refused([](Json& h) { h["layout"]["feature_type"] = "int4"; }), HasSubstr("float16, float32"));
  EXPECT_THAT(refused([](Json& h) { h["layout"]["tokenizer"]["vocabulary_size"] = 9; }), HasSubstr("fingerprint is"));
  EXPECT_THAT(refused([](Json& h) { h["records_at"] = int64_t{1} << 60; }), HasSubstr("do not begin behind"));
  EXPECT_THAT(refused([](Json& h) { h["records_at"] = 8192; }), HasSubstr("do not begin behind"));
  EXPECT_THAT(refused([](Json& h) { h["blobs_at"] = 4096; }), HasSubstr("do not follow"));
  EXPECT_THAT(refused([](Json& h) { h["checksums_at"] = int64_t{1} << 60; }), HasSubstr("do not follow"));
  EXPECT_THAT(refused([](Json& h) { h["checksum_block_bytes"] = 4096; }), HasSubstr("table of checksums"));
  EXPECT_THAT(refused([](Json& h) { h["checksum_block_bytes"] = 0; }), HasSubstr("checksum_block_bytes"));
  EXPECT_THAT(refused([](Json& h) { h["version"] = 2; }), HasSubstr("version 2; allowed: version 1"));
  EXPECT_THAT(refused([](Json& h) { h["version"] = "one"; }), HasSubstr("version \"one\""));
  EXPECT_THAT(refused([](Json& h) { h.erase("format"); }), HasSubstr("not a shard's"));
  EXPECT_THAT(refused([](Json& h) { h["format"] = 7; }), HasSubstr("not a shard's"));
  EXPECT_THAT(refused([](Json& h) { h = Json::array({1}); }), HasSubstr("not a shard's"));
}

TEST(Shard, VerifyNamesTheSampleThatBreaksAnInvariant) {
  const TemporaryFolder folder;
  const ShardLayout layout = small_layout(FeatureType::float32);
  write_samples(folder / "a.capshard", layout, 3);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::string bytes = read_file(folder / "a.capshard");
  const ShardHeader header = Shard(folder / "a.capshard").header();
  const auto record_at = static_cast<size_t>(header.records_at + header.record_bytes);
  constexpr size_t features_at = 384;  // heads 64, boxes 160, classes 120, each part aligned to 64
  std::memcpy(&bytes[record_at + features_at + 8], &nan, sizeof nan);
  overwrite(folder / "a.capshard", bytes);
  const auto problems = problems_of(folder / "a.capshard");
  ASSERT_EQ(problems.size(), 2U);
  EXPECT_THAT(problems[0], HasSubstr("bytes 4096 to 6751 (samples 0 to 2, texts and thumbnails) do not match"));
  EXPECT_THAT(
      problems[1],
      HasSubstr("sample 1 (\"item-1\"): region 0 of view 0 has a feature value (number 2) that is not a number"));
}

TEST(Shard, VerifyHoldsTheTableOfChecksumsAgainstTheHeader) {
  const TemporaryFolder folder;
  write_samples(folder / "a.capshard", small_layout(), 3);
  forge_header(folder / "a.capshard", [](Json& h) { h["checksums_checksum"] = "0123456789abcdef"; });
  EXPECT_THAT(problems_of(folder / "a.capshard"),
              ElementsAre(HasSubstr("the table of checksums, bytes 5984 to 5991, does not match its own checksum")));
}

TEST(Shard, VerifySaysTheSameOnAnyNumberOfThreads) {
  const TemporaryFolder folder;
  // 30 MB, so that there are stretches for several threads, and every 50th sample is spoilt.
  const ShardLayout layout{.feature_width = 600, .max_regions = 36};
  {
    ShardWriter writer(folder / "a.capshard", layout);
    for (int64_t i = 0; i < 700; ++i) writer.add(make_sample(layout, i));
    writer.finish();
  }
  const ShardHeader header = Shard(folder / "a.capshard").header();
  for (int64_t i = 0; i < 700; i += 50) {
    set_byte(folder / "a.capshard", static_cast<size_t>(header.records_at + i * header.record_bytes + 28), 9);
  }
  set_byte(folder / "a.capshard", static_cast<size_t>(header.blobs_at + 3), 'x');
  const auto verify = [&](int64_t threads) {
    std::vector<std::string> said;
    Shard(folder / "a.capshard")
        .verify([&](const std::string& problem) { said.push_back(problem); },
                {.threads = threads,
                 .progress = [&](int64_t done) { said.push_back(std::to_string(done)); },
                 .id = [&](int64_t index, uint64_t id) { said.push_back(std::to_string(index) + " " + to_hex(id)); }});
    return said;
  };
  const std::vector<std::string> one = verify(1);
  EXPECT_EQ(one, verify(4));
  EXPECT_EQ(std::ranges::count_if(one, [](const auto& text) { return text.find("claims 9 views") < text.size(); }), 14);
  EXPECT_EQ(std::ranges::count_if(one, [](const auto& text) { return text.find("checksum") < text.size(); }), 15);
  EXPECT_EQ(std::ranges::count(one, "5 " + to_hex(checksum("item-5"))), 1);
  EXPECT_EQ(std::ranges::count(one, "700"), 1);
}

TEST(Shard, IsNoFolderAndNoOtherFile) {
  const TemporaryFolder folder;
  overwrite(folder / "a.capshard", "PNG and then some more bytes, enough of them to look at");
  EXPECT_THAT(error_of([&] { Shard{folder / "a.capshard"}; }), HasSubstr("is not a shard"));
  EXPECT_THAT(error_of([&] { Shard{folder.path()}; }), HasSubstr("is a folder"));
  EXPECT_THAT(error_of([&] { Shard{folder / "none.capshard"}; }), HasSubstr("No such file"));
}

}  // namespace
}  // namespace capture
