// index.json of a folder of shards: what is wrong in it is named.
#include "capture/data/shard_index.h"

#include <fstream>
#include <functional>

#include "capture/data/dataset.h"
#include "capture/data/shard_set_writer.h"
#include "support.h"

namespace capture {
namespace {

using ::testing::HasSubstr;

TEST(ShardIndex, RefusesWhatItDidNotWrite) {
  const TemporaryFolder folder;
  {
    const ShardLayout layout = small_layout();
    ShardSetWriter set(folder / "out", layout, Json::object(), {.source = {{"rows", "some"}}});
    for (int64_t i = 0; i < 3; ++i) set.add(encode(layout, make_sample(layout, i)), [] { return Json::object(); });
    set.finish();
  }
  const std::filesystem::path path = folder / "out" / kShardIndexFile;
  const Json whole = read_json(path).root;
  const auto refused = [&](const std::function<void(Json&)>& change) {
    Json json = whole;
    change(json);
    std::ofstream(path) << json;
    return error_of([&] { Dataset{folder / "out"}; });
  };
  EXPECT_EQ(refused([](Json&) {}), "");
  EXPECT_THAT(refused([](Json& i) { i["format"] = "recipe"; }), HasSubstr("index.json: is not the index"));
  EXPECT_THAT(refused([](Json& i) { i["format"] = 7; }), HasSubstr("index.json: is not the index"));
  EXPECT_THAT(refused([](Json& i) { i = Json::array(); }), HasSubstr("index.json: is not the index"));
  EXPECT_THAT(refused([](Json& i) { i["version"] = 2; }), HasSubstr("version 2; allowed: version 1"));
  EXPECT_THAT(refused([](Json& i) { i["samples"] = 4; }), HasSubstr("it counts 4 samples, its shards have 3"));
  for (const char* name : {"../a.capshard", "/etc/a.capshard", "a.txt", "", ".."}) {
    EXPECT_THAT(refused([&](Json& i) { i["shards"][0]["file"] = name; }), HasSubstr("names the shard")) << name;
  }
  EXPECT_THAT(refused([](Json& i) { i["shards"][0]["samples"] = -3; }), HasSubstr("samples is -3"));
  EXPECT_THAT(refused([](Json& i) { i["shards"][0]["checksum"] = "0"; }), HasSubstr("is another shard"));
  EXPECT_THAT(refused([](Json& i) { i["more"] = 1; }), HasSubstr("more"));
  std::ofstream(path) << "{ \"format\": ";
  EXPECT_THAT(error_of([&] { Dataset{folder / "out"}; }), HasSubstr("index.json"));
}

}  // namespace
}  // namespace capture
