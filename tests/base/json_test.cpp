#include "capture/base/json.h"

#include <gmock/gmock.h>

#include "common/testing.h"

namespace capture {
namespace {

using ::testing::AllOf;
using testing::error_of;
using testing::Folder;
using ::testing::HasSubstr;

std::string parse_error(std::string_view text) {
  return error_of([&] { parse_json(text, "c.json"); });
}

TEST(Json, KnowsTheLineOfEveryValue) {
  const auto document = parse_json(
      "{\n"                         // 1
      "  \"number\": 12\n"          // 2
      "  ,\"real\": 1.5e3\n"        // 3
      "  ,\n"                       // 4
      "  \"deep\": {\n"             // 5
      "    // a comment\n"          // 6
      "    \"list\": [1,\n"         // 7
      "             2\n"            // 8
      "    , {\"x\": true}],\n"     // 9
      "    /* one\n"                // 10
      "       more */ \"word\":\n"  // 11
      "      \"a\\nb\"\n"           // 12
      "  },\n"                      // 13
      "  \"last\": -7\n"            // 14
      "}\n",
      "c.json");
  const std::map<std::string, std::string> expected = {{"", "c.json:1"},
                                                       {"number", "c.json:2"},
                                                       {"real", "c.json:3"},
                                                       {"deep", "c.json:5"},
                                                       {"deep.list", "c.json:7"},
                                                       {"deep.list[0]", "c.json:7"},
                                                       {"deep.list[1]", "c.json:8"},
                                                       {"deep.list[2]", "c.json:9"},
                                                       {"deep.list[2].x", "c.json:9"},
                                                       {"deep.word", "c.json:12"},
                                                       {"last", "c.json:14"}};
  EXPECT_EQ(document.origins, expected);
  EXPECT_EQ(document.root["deep"]["list"][1], 2);
  EXPECT_EQ(document.root["last"], -7);
}

TEST(Json, KeepsTheOrderOfKeys) {
  EXPECT_EQ(to_line(parse_json(R"({"b": 1, "a": {"z": 2, "y": 3}})", "c.json").root), R"({"b":1,"a":{"z":2,"y":3}})");
}

TEST(Json, RefusesAKeyThatStandsTwice) {
  EXPECT_THAT(parse_error("{\"a\": {\"b\": 1,\n\"c\": 2,\n\"b\": 3}}"),
              AllOf(HasSubstr("c.json:3"), HasSubstr("\"b\" stands twice"), HasSubstr("c.json:1")));
  EXPECT_EQ(parse_error(R"([{"b": 1}, {"b": 2}])"), "");
}

TEST(Json, NamesTheLineOfASyntaxError) {
  EXPECT_THAT(parse_error("{\"a\": 1,\n \"b\": }"), HasSubstr("c.json:2"));
  EXPECT_THAT(parse_error("{\"a\": 1,\n\n"), HasSubstr("c.json"));
  for (const std::string text : {"", "{", "[1 2]", "{\"a\" 1}", "{'a': 1}", "nul", "{} {}", "/* never closed", "01",
                                 "{\"a\": \"\xFF\"}", "\"\\ud800\"", "NaN", "[1,]", "1e999"}) {
    EXPECT_THAT(parse_error(text), AllOf(HasSubstr("c.json:1"), HasSubstr("valid JSON"))) << text;
  }
}

TEST(Json, ShowsBytesThatAreNoTextAsSuch) {
  EXPECT_THAT(parse_error("{\"a\xE3z\": 1}"), HasSubstr("near \"\"a\uFFFDz\""));
}

TEST(Json, RefusesEndlessNesting) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(parse_error(nested(64)), "");
  EXPECT_THAT(parse_error(nested(65)), HasSubstr("deeper than 64"));
  EXPECT_THAT(parse_error(std::string(1'000'000, '[')), HasSubstr("deeper than 64"));
}

TEST(Json, ReadsManyKeysInTimeProportionalToTheirNumber) {
  std::string text = "{";
  constexpr int kKeys = 100'000;  // looking each up among all before would take minutes
  for (int i = 0; i < kKeys; ++i) text += (i == 0 ? "\"k" : ",\"k") + std::to_string(i) + "\":0";
  EXPECT_EQ(parse_json(text + "}", "c.json").root.size(), kKeys);
}

TEST(Json, WritesTextThatCannotBreakALine) {
  EXPECT_EQ(to_line(Json{{"a", "x\ny\xFFz"}}), "{\"a\":\"x\\ny\uFFFDz\"}");
  EXPECT_EQ(to_text(Json{{"a", 1}}), "{\n  \"a\": 1\n}\n");
}

TEST(Json, NamesTheFileThatCannotBeRead) {
  const Folder folder;
  EXPECT_THAT(error_of([&] { read_json(folder.path("none.json")); }), HasSubstr("none.json"));
  EXPECT_THAT(error_of([&] { read_json(folder.file("bad.json", "\n{")); }), HasSubstr("bad.json:2"));
}

}  // namespace
}  // namespace capture
