#include "capture/base/json_line.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <random>

#include "capture/base/json.h"

namespace capture {
namespace {

TEST(JsonLine, ReadsAsTheSameJson) {
  std::string text = "before\n";
  JsonLine line(text);
  line.add("whole", int64_t{-7});
  line.add("text", "面霜");
  line.open_object("figures");
  line.open_object("empty");
  line.close_object();
  line.add("half", 0.5);
  line.close_object();
  line.open_array("labels");
  line.add_element("a");
  line.add_element("");
  line.close_array();
  line.open_array("none");
  line.close_array();
  line.end();
  const Json same = {{"whole", -7},
                     {"text", "面霜"},
                     {"figures", {{"empty", Json::object()}, {"half", 0.5}}},
                     {"labels", {"a", ""}},
                     {"none", Json::array()}};
  EXPECT_EQ(text, "before\n" + to_line(same) + "\n");
}

TEST(JsonLine, TextsOfAnyBytesAreWrittenAsJsonWritesThem) {
  for (const std::string value :
       {"a \"b\"", "back\\slash", "tab\tand\nline", "\x01", "\x7f", "half \xe9\x9d", "\xff", "\u2028 \U0001f600"}) {
    std::string text;
    JsonLine line(text);
    line.add(value, value);
    line.end();
    EXPECT_EQ(text, to_line(Json{{value, value}}) + "\n");
  }
}

TEST(JsonLine, NumbersReadBackToTheLastBit) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> uniform;
  std::vector<double> values = {0.0, -0.0, 1.0, -1.0, 3.0, 1e-7, 1e300, 5e-324, 0.1 + 0.2, 1.0 / 3};
  for (int i = 0; i < 1000; ++i) values.push_back(uniform(random) / static_cast<double>(random() % 1000 + 1));
  for (const double value : values) {
    std::string text;
    JsonLine line(text);
    line.add("x", value);
    line.end();
    const Json read = parse_json(text, "line").root;
    ASSERT_TRUE(read.at("x").is_number_float()) << text;
    const auto back = read.at("x").get<double>();
    EXPECT_TRUE(back == value && std::signbit(back) == std::signbit(value)) << text;
  }
  std::string text;
  JsonLine line(text);
  line.add("x", std::numeric_limits<double>::quiet_NaN());
  line.end();
  EXPECT_EQ(text, "{\"x\":null}\n");
}

}  // namespace
}  // namespace capture
