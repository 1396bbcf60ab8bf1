// Titles by image id.
#include "capture/data/import/id_info.h"

#include "support.h"

namespace capture {
namespace {

using ::testing::HasSubstr;

std::string id_info_refusal(const std::string& json) {
  const TemporaryFolder folder;
  write_file(folder / "info.json", json);
  return error_of([&] { IdInfo{folder / "info.json"}; });
}

TEST(IdInfo, FindsTitlesById) {
  const TemporaryFolder folder;
  std::string json = R"({"a": {"title": "甲", "url": ["x", {"title": "not this"}], "n": 1.5}, "no title": {"n": null})";
  for (int i = 0; i < 1000; ++i) json += ", \"" + std::to_string(i) + R"(": {"title": "t)" + std::to_string(i) + "\"}";
  write_file(folder / "info.json", json + "}");
  const IdInfo info(folder / "info.json");
  EXPECT_EQ(info.size(), 1001);
  EXPECT_EQ(info.title("a"), "甲");
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(info.title(std::to_string(i)), "t" + std::to_string(i));
  EXPECT_EQ(info.title("1000"), std::nullopt);
  EXPECT_EQ(info.title("no title"), std::nullopt);
  EXPECT_EQ(info.title(""), std::nullopt);
}

TEST(IdInfo, RefusesWhatIsNoSuchFile) {
  EXPECT_THAT(id_info_refusal(""), HasSubstr("info.json: is not valid JSON"));
  EXPECT_THAT(id_info_refusal("[1]"), HasSubstr("is no JSON object"));
  EXPECT_THAT(id_info_refusal("3"), HasSubstr("is no JSON object"));
  EXPECT_THAT(id_info_refusal(R"({"a": "text"})"), HasSubstr("\"a\" is no object with a title"));
  EXPECT_THAT(id_info_refusal(R"({"a": [{"title": "x"}]})"), HasSubstr("\"a\" is no object with a title"));
  EXPECT_THAT(id_info_refusal(R"({"a": {"title": "x"}, "a": {"title": "y"}})"), HasSubstr("the id \"a\" stands twice"));
  EXPECT_THAT(id_info_refusal(R"({"a": {"title": "x", "title": "y"}})"), HasSubstr("the title of \"a\" stands twice"));
  EXPECT_THAT(id_info_refusal("{\"a\": {\"title\": \"\xFF\"}}"), HasSubstr("is not valid JSON"));
  EXPECT_THAT(id_info_refusal(R"({"a": {"title": "x"})"), HasSubstr("is not valid JSON"));
  EXPECT_THAT(id_info_refusal(R"({"a": {"b": )" + std::string(100000, '[')), HasSubstr("nested too deeply"));
}

}  // namespace
}  // namespace capture
