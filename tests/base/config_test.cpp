#include "capture/base/config.h"

#include <gmock/gmock.h>

#include "common/testing.h"

namespace capture {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::error_of;
using testing::Folder;
using ::testing::HasSubstr;

enum class Color { red, dark_blue };

struct Point {
  int64_t x = 0;
  std::vector<double> weights = {};
  void visit(FieldVisitor& f) {
    f.field("x", x, "Where it is.", {0, 9});
    f.field("weights", weights, "What it weighs.", {0.0, 1.0});
  }
};

struct Group {
  std::string name = "all";
  std::vector<Point> points = {};
  void visit(FieldVisitor& f) {
    f.field("name", name, "What it is called.");
    f.list("points", points, "Its points.");
  }
};

struct Options {
  bool quick = false;
  int64_t layers = 4;
  int64_t heads = 2;
  double rate = 0.5;
  std::string title = "none";
  std::vector<int64_t> at = {10, 50};
  std::vector<std::string> names = {};
  Color color = Color::red;
  Point point;
  std::vector<Group> groups = std::vector<Group>(1);

  void visit(FieldVisitor& f) {
    f.field("quick", quick, "Be quick.");
    f.field("layers", layers, "How many layers.", {0, 64});
    f.field("heads", heads, "How many heads.", {1, std::numeric_limits<int64_t>::max()});
    f.field("rate", rate, "How fast.", {0.0, 1.0});
    f.field("title", title, "Its title.");
    f.field("at", at, "Where to measure.", {1, 1000});
    f.field("names", names, "Some names.");
    f.choice("color", color, "Its color.", {{"red", Color::red}, {"dark_blue", Color::dark_blue}});
    f.section("point", point, "A point.");
    f.list("groups", groups, "Groups of points.");
  }
  void check(FieldChecker& c) const {
    c.require(layers % heads == 0, "layers", "is no multiple of heads", "multiples of heads");
  }
};

Options options_of(const std::string& text) {
  Options options;
  read_options(parse_json(text, "c.json"), options);
  return options;
}

std::string read_error(const std::string& text) {
  return error_of([&] { options_of(text); });
}

TEST(ReadOptions, FillsWhatIsGivenAndKeepsDefaults) {
  const Options options = options_of(R"({"quick": true, "rate": 1, "names": ["a", "b"], "color": "dark_blue",
      "point": {"weights": [0, 0.25]}, "groups": [{"points": [{"x": 1}, {"x": 2}]}, {"name": "b", "points": [{"x": 3}]}]})");
  EXPECT_TRUE(options.quick);
  EXPECT_EQ(options.layers, 4);
  EXPECT_EQ(options.rate, 1.0);
  EXPECT_THAT(options.at, ElementsAre(10, 50));
  EXPECT_THAT(options.names, ElementsAre("a", "b"));
  EXPECT_EQ(options.color, Color::dark_blue);
  EXPECT_THAT(options.point.weights, ElementsAre(0.0, 0.25));
  ASSERT_EQ(options.groups.size(), 2u);
  ASSERT_EQ(options.groups[0].points.size(), 2u);
  EXPECT_EQ(options.groups[0].points[1].x, 2);
  EXPECT_EQ(options.groups[0].name, "all");
  ASSERT_EQ(options.groups[1].points.size(), 1u);
  EXPECT_EQ(options.groups[1].points[0].x, 3);
  EXPECT_EQ(options.groups[1].name, "b");
}

TEST(ReadOptions, ReplacesADefaultListWhole) {
  EXPECT_TRUE(options_of(R"({"groups": []})").groups.empty());
  EXPECT_EQ(options_of("{}").groups.size(), 1u);
  EXPECT_EQ(options_of(R"({"groups": [{}, {}]})").groups.size(), 2u);
}

TEST(ReadOptions, RefusesAnUnknownKeyAndNamesTheNearest) {
  EXPECT_THAT(read_error("{\n\"laeyrs\": 2}"), AllOf(HasSubstr("c.json:2"), HasSubstr("laeyrs is not a known key"),
                                                     HasSubstr("quick, layers, heads"), HasSubstr("mean \"layers\"?")));
  EXPECT_THAT(read_error("{\"point\": {\n\"y\": 2}}"), AllOf(HasSubstr("c.json:2"), HasSubstr("point.y")));
  EXPECT_THAT(read_error(R"({"groups": [{}, {"points": [{"xx": 1}]}]})"), HasSubstr("groups[1].points[0].xx"));
}

TEST(ReadOptions, RefusesWrongTypesAndValuesOutOfRange) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"quick": 1})", "quick is 1; allowed: true or false"},
      {R"({"layers": 65})", "layers is 65; allowed: a whole number, 0 to 64"},
      {R"({"layers": 2.5})", "layers is 2.5"},
      {R"({"layers": "2"})", "layers is \"2\""},
      {R"({"layers": 18446744073709551615})", "layers is 18446744073709551615"},
      {R"({"heads": 0})", "heads is 0; allowed: a whole number, at least 1"},
      {R"({"rate": 1.5})", "rate is 1.5; allowed: a number, 0.0 to 1.0"},
      {R"({"rate": null})", "rate is null"},
      {R"({"title": 3})", "title is 3; allowed: text in quotes"},
      {R"({"at": 10})", "at is 10; allowed: a list"},
      {R"({"at": [10, 0]})", "at[1] is 0"},
      {R"({"names": ["a", 2]})", "names[1] is 2"},
      {R"({"color": "blue"})", "color is \"blue\"; allowed: one of red, dark_blue"},
      {R"({"color": 1})", "color is 1; allowed: one of red, dark_blue"},
      {R"({"point": [1]})", "point is [1]; allowed: an object"},
      {R"({"point": {"weights": [2]}})", "point.weights[0] is 2"},
      {R"({"groups": {}})", "groups is {}; allowed: a list of objects"},
      {R"({"groups": [1]})", "groups[0] is 1"},
      {R"({"groups": [{"points": [{}, {"x": 10}]}]})", "groups[0].points[1].x is 10"},
  };
  for (const auto& [text, said] : cases) {
    EXPECT_THAT(read_error(text), AllOf(HasSubstr("c.json:1: "), HasSubstr(said))) << text;
  }
}

TEST(ReadOptions, RefusesFieldsThatContradictEachOther) {
  EXPECT_THAT(read_error("{\"heads\": 1,\n\"layers\": 3,\n\"heads\": 2}"), HasSubstr("twice"));
  EXPECT_THAT(read_error("{\n\"layers\": 3}"),
              AllOf(HasSubstr("c.json:2"), HasSubstr("layers is no multiple of heads")));
  // The clashing key is a default: the place that is named encloses it.
  EXPECT_THAT(read_error("{\n\"heads\": 3}"), AllOf(HasSubstr("c.json:1"), HasSubstr("layers is no multiple")));
}

TEST(ReadConfig, InheritsKeyByKey) {
  const Folder folder;
  folder.file("root.json", R"({"layers": 8, "title": "root", "point": {"x": 1, "weights": [1]}, "at": [1, 2]})");
  folder.file("middle.json", R"({"base": "root.json", "title": "middle", "point": {"x": 2}})");
  const auto top = folder.file("top.json", "{\"base\": \"middle.json\", // a comment\n \"at\": [3], \"rate\": 0.25}");
  Options options;
  read_options(read_config(top), options);
  EXPECT_EQ(options.layers, 8);
  EXPECT_EQ(options.title, "middle");
  EXPECT_EQ(options.point.x, 2);
  EXPECT_THAT(options.point.weights, ElementsAre(1.0));
  EXPECT_THAT(options.at, ElementsAre(3));
  EXPECT_EQ(options.rate, 0.25);
}

TEST(ReadConfig, NamesTheFileThatAValueCameFrom) {
  const Folder folder;
  folder.file("root.json", "{\n\"point\": {\n\"x\": 77}}");
  const auto top = folder.file("top.json", "{\"base\": \"root.json\", \"point\": {\"weights\": []}}");
  Options options;
  EXPECT_THAT(error_of([&] { read_options(read_config(top), options); }), HasSubstr("root.json:3: point.x is 77"));
  EXPECT_THAT(error_of([&] { read_options(read_config(top, {"point.x=88"}), options); }),
              HasSubstr("--set point.x=88: point.x is 88"));
}

TEST(ReadConfig, LaysSettingsOverFiles) {
  const Folder folder;
  const auto file = folder.file("c.json", R"({"layers": 8, "point": {"x": 1}})");
  Options options;
  read_options(read_config(file, {"layers=6", "title=a=b c", "point.weights=[0.5]", "names=[\"x\"]", "point.x=5",
                                  "quick=true", "color=dark_blue", "groups=[{\"name\": \"g\"}]"}),
               options);
  EXPECT_EQ(options.layers, 6);
  EXPECT_EQ(options.title, "a=b c");
  EXPECT_EQ(options.point.x, 5);
  EXPECT_THAT(options.point.weights, ElementsAre(0.5));
  EXPECT_THAT(options.names, ElementsAre("x"));
  EXPECT_TRUE(options.quick);
  EXPECT_EQ(options.color, Color::dark_blue);
  EXPECT_EQ(options.groups.at(0).name, "g");
}

TEST(ReadConfig, RefusesSettingsThatMakeNoSense) {
  const Folder folder;
  const auto file = folder.file("c.json", R"({"layers": 8, "at": [1]})");
  const auto said = [&](const std::string& setting) {
    Options options;
    return error_of([&] { read_options(read_config(file, {setting}), options); });
  };
  EXPECT_THAT(said("layers"), HasSubstr("not of the form key=value"));
  EXPECT_THAT(said("=3"), HasSubstr("not of the form key=value"));
  EXPECT_THAT(said("point..x=3"), HasSubstr("empty key"));
  EXPECT_THAT(said("point.=3"), HasSubstr("empty key"));
  EXPECT_THAT(said("layers.x=3"), AllOf(HasSubstr("--set layers.x=3"), HasSubstr("layers is a value")));
  EXPECT_THAT(said("at.x=3"), HasSubstr("at is a value"));
  EXPECT_THAT(said("layer=3"), AllOf(HasSubstr("--set layer=3"), HasSubstr("mean \"layers\"?")));
  EXPECT_THAT(said("layers=many"), AllOf(HasSubstr("--set layers=many"), HasSubstr("layers is \"many\"")));
  EXPECT_THAT(said("point={\"x\": 1, \"x\": 2}"), HasSubstr("stands twice"));
}

TEST(ReadConfig, RefusesBasesThatLeadNowhere) {
  const Folder folder;
  const auto a = folder.file("a.json", R"({"base": "b.json"})");
  folder.file("b.json", "{\n\"base\": \"a.json\"}");
  EXPECT_THAT(error_of([&] { read_config(a); }), AllOf(HasSubstr("b.json:2"), HasSubstr("leads back")));
  EXPECT_THAT(error_of([&] { read_config(folder.file("self.json", R"({"base": "./self.json"})")); }),
              HasSubstr("leads back"));
  EXPECT_THAT(error_of([&] { read_config(folder.file("c.json", "{\n\"base\": \"none.json\"}")); }),
              AllOf(HasSubstr("c.json:2"), HasSubstr("none.json")));
  EXPECT_THAT(error_of([&] { read_config(folder.file("d.json", R"({"base": 3})")); }), HasSubstr("\"base\" is 3"));
  EXPECT_THAT(error_of([&] { read_config(folder.file("e.json", "[1]")); }), HasSubstr("must be a JSON object"));
  EXPECT_THAT(error_of([&] { read_config(folder.path("none.json")); }), HasSubstr("none.json"));
}

TEST(ReadConfig, LetsFilesNameTheirSchema) {
  const Folder folder;
  Options options;
  read_options(read_config(folder.file("c.json", R"({"$schema": "s.json", "layers": 2})")), options);
  EXPECT_EQ(options.layers, 2);
}

TEST(ToJson, IsReadBackAsTheSameOptions) {
  Options options;
  options.rate = 0.1;
  options.color = Color::dark_blue;
  options.groups = {Group{.name = "g", .points = {Point{.x = 3, .weights = {0.5}}, Point{}}}, Group{}};
  const std::string text = to_text(to_json(options));
  EXPECT_EQ(to_text(to_json(options_of(text))), text);
  EXPECT_THAT(text, AllOf(HasSubstr("\"rate\": 0.1"), HasSubstr("\"color\": \"dark_blue\"")));
}

TEST(ToSchema, TellsTypesDefaultsRangesAndHelp) {
  const Options options;
  const Json schema = to_schema(options, "Options");
  EXPECT_EQ(schema["title"], "Options");
  EXPECT_EQ(schema["additionalProperties"], false);
  const Json& fields = schema["properties"];
  EXPECT_EQ(fields["layers"], Json::parse(R"({"type": "integer", "description": "How many layers.", "minimum": 0,
                                              "maximum": 64, "default": 4})"));
  EXPECT_EQ(fields["heads"].count("maximum"), 0u);
  EXPECT_EQ(fields["color"]["enum"], Json::parse(R"(["red", "dark_blue"])"));
  EXPECT_EQ(fields["at"]["items"], Json::parse(R"({"minimum": 1, "maximum": 1000, "type": "integer"})"));
  EXPECT_EQ(fields["point"]["properties"]["x"]["maximum"], 9);
  EXPECT_EQ(fields["point"]["additionalProperties"], false);
  EXPECT_EQ(fields["groups"]["type"], "array");
  EXPECT_EQ(fields["groups"]["items"]["properties"]["points"]["items"]["properties"]["x"]["type"], "integer");
  EXPECT_EQ(fields["base"]["type"], "string");
}

TEST(ToHelp, GivesEveryKeyALine) {
  const Options options;
  const std::string help = to_help(options);
  for (const std::string line :
       {"layers = 4  (0 to 64)\n    How many layers.\n", "heads = 2  (at least 1)\n", "rate = 0.5  (0.0 to 1.0)\n",
        "title = \"none\"\n", "at = [10,50]  (1 to 1000)\n", "color = \"red\"  (red, dark_blue)\n",
        "[point] A point.\npoint.x = 0  (0 to 9)\n", "[groups[].points[]] Its points.\ngroups[].points[].x = 0"}) {
    EXPECT_THAT(help, HasSubstr(line));
  }
}

}  // namespace
}  // namespace capture
