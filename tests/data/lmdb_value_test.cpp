// Values of an LMDB: as Python wrote them (tests/data/published), and every way to spoil one.
#include <cstring>

#include "capture/data/import/row.h"
#include "support.h"

namespace capture {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const RowRules kValueRules{.min_regions = 3, .max_regions = 3};

std::span<const std::byte> value_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::string published(const std::string& name) {
  return read_file(std::filesystem::path(CAPTURE_TEST_DATA) / "data/published" / name);
}

std::string value_refusal(const std::string& value, const RowRules& rules = kValueRules) {
  Sample sample;
  return error_of([&] { parse_lmdb_value(value_bytes(value), rules, sample); });
}

/// A value in MessagePack, put together by hand.
struct Value {
  static std::string text(const std::string& s) { return std::string(1, static_cast<char>(0xA0 | s.size())) + s; }
  static std::string binary(const std::string& s) { return std::string("\xC4") + static_cast<char>(s.size()) + s; }
  static std::string array(const std::string& type, const std::vector<int>& shape, const std::string& data) {
    std::string sizes(1, static_cast<char>(0x90 | shape.size()));
    for (const int size : shape) sizes += static_cast<char>(size);
    return "\x85" + text("nd") + "\xC3" + text("type") + text(type) + text("kind") + text("") + text("shape") + sizes +
           text("data") + binary(data);
  }
  static std::string floats(const std::vector<float>& values) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
  }

  std::string features = array("<f4", {3, 2}, floats({1, 2, 3, 4, 5, 6}));
  std::string boxes = array("<f4", {3, 4}, floats({0, 0, 1, 1, 0, 0, 2, 2, 0, 0, 3, 3}));
  std::string count = "\x03";
  std::string height = "\x20";
  std::string width = "\x30";
  std::string id = text("item-1");
  std::string caption = text("a title");

  std::string bytes() const { return "\x97" + features + boxes + count + height + width + id + caption; }
};

TEST(LmdbValue, ReadsWhatPythonWrote) {
  for (const char* name : {"value_new.msgpack", "value_old.msgpack"}) {
    const std::string value = published(name);
    EXPECT_EQ(lmdb_value_id(value_bytes(value)), "622110998877");
    Sample sample;
    parse_lmdb_value(value_bytes(value), kValueRules, sample);
    EXPECT_EQ(sample.id, "622110998877");
    EXPECT_THAT(sample.titles, ElementsAre("韩国AHC黄金套盒"));
    const Regions& regions = sample.views.at(0);
    EXPECT_EQ(regions.image_width, 640);
    EXPECT_EQ(regions.image_height, 480);
    EXPECT_THAT(regions.boxes, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
    EXPECT_THAT(regions.features, ElementsAre(0, 0.5, 1, 1.5, 2, 2.5));
    EXPECT_FALSE(is_pyarrow(value_bytes(value)));
  }
}

TEST(LmdbValue, TakesDoublesAndNumpyNumbersAndNumericIds) {
  Value value;
  std::string doubles;
  for (const double number : {1.0, 2.0, 3.0, 4.0, 5.0, 6.5}) {
    doubles.append(reinterpret_cast<const char*>(&number), sizeof number);
  }
  value.features = Value::array("<f8", {3, 2}, doubles);
  value.count = "\x83" + Value::text("nd") + "\xC2" + Value::text("type") + Value::text("<i4") + Value::text("data") +
                Value::binary(std::string("\x03\0\0\0", 4));
  value.width = std::string("\xCB\x40\x84\x00\x00\x00\x00\x00\x00", 9);  // 640.0
  value.id = "\xCE\x01\x02\x03\x04";
  Sample sample;
  parse_lmdb_value(value_bytes(value.bytes()), kValueRules, sample);
  EXPECT_EQ(sample.id, "16909060");
  EXPECT_EQ(sample.views[0].image_width, 640);
  EXPECT_EQ(sample.views[0].features.back(), 6.5F);
}

TEST(LmdbValue, KnowsPyarrowWhenItSeesIt) {
  EXPECT_TRUE(is_pyarrow(value_bytes(published("value.pyarrow"))));
  EXPECT_FALSE(is_pyarrow({}));
  EXPECT_FALSE(is_pyarrow(value_bytes(Value().bytes())));
}

TEST(LmdbValue, RefusesWhatIsNoSuchList) {
  EXPECT_THAT(value_refusal(""), HasSubstr("ends before its time"));
  EXPECT_THAT(value_refusal("\x01"), HasSubstr("is no list"));
  EXPECT_THAT(value_refusal("\x92\x01\x02"), HasSubstr("is a list of 2 items; allowed: 7 items"));
  EXPECT_THAT(value_refusal("\xC1"), HasSubstr("no value begins with the byte 193"));
  Value value;
  value.features = "\x01";
  EXPECT_THAT(value_refusal(value.bytes()), HasSubstr("has features that are no numpy array"));
  value.features = "\x80";
  EXPECT_THAT(value_refusal(value.bytes()), HasSubstr("has features that are no numpy array"));
  EXPECT_THAT(value_refusal(Value().bytes() + "x"), HasSubstr("has 1 bytes behind its end"));
}

TEST(LmdbValue, RefusesSizesThatDisagree) {
  const auto with = [](auto member, const std::string& bytes) {
    Value value;
    value.*member = bytes;
    return value_refusal(value.bytes());
  };
  const std::string numbers = Value::floats({1, 2, 3, 4, 5, 6});
  EXPECT_THAT(with(&Value::features, Value::array("<f4", {3, 3}, numbers)),
              HasSubstr("24 bytes and a shape of 3 by 3"));
  EXPECT_THAT(with(&Value::features, Value::array("<f4", {2, 3}, numbers)), HasSubstr("has features for 2 boxes"));
  EXPECT_THAT(with(&Value::boxes, Value::array("<f4", {3, 2}, numbers)), HasSubstr("has 2 numbers a box; allowed: 4"));
  EXPECT_THAT(with(&Value::features, Value::array(">f4", {3, 2}, numbers)), HasSubstr("of type \">f4\""));
  EXPECT_THAT(with(&Value::features, Value::array("|O", {3, 2}, numbers)), HasSubstr("of type \"|O\""));
  EXPECT_THAT(with(&Value::count, "\x02"), HasSubstr("has 2 boxes; allowed: 3"));
  EXPECT_THAT(with(&Value::count, "\xFF"), HasSubstr("for its number of boxes"));
  EXPECT_THAT(with(&Value::width, "\xC0"), HasSubstr("for its image width"));
  EXPECT_THAT(with(&Value::width, Value::text("640")), HasSubstr("for its image width"));
  EXPECT_THAT(with(&Value::caption, "\xC0"), HasSubstr("has no title"));
  EXPECT_THAT(with(&Value::caption, Value::text(" ")), HasSubstr("has no title"));
}

TEST(LmdbValue, RefusesHostileLengthsWithoutAllocatingThem) {
  Value value;
  // A map of four thousand million pairs, a shape whose product overflows, data of four gigabytes.
  value.features = "\xDF\xFF\xFF\xFF\xFF";
  EXPECT_THAT(value_refusal(value.bytes()), HasSubstr("more items than bytes"));
  value.features = "\x83" + Value::text("type") + Value::text("<f4") + Value::text("shape") +
                   "\x92\xCF\x40\x00\x00\x00\x00\x00\x00\x00\x08" + Value::text("data") + Value::binary("");
  EXPECT_NE(value_refusal(value.bytes()), "");
  value.features = "\x81" + Value::text("data") + "\xC6\xFF\xFF\xFF\xFF";
  EXPECT_THAT(value_refusal(value.bytes()), HasSubstr("ends before its time"));
  value = Value();
  value.id = std::string(100000, '\x91') + "\x01";  // a list in a list in a list …
  EXPECT_THAT(value_refusal(value.bytes()), AnyOf(HasSubstr("nested"), HasSubstr("id"), HasSubstr("behind its end"),
                                                  HasSubstr("whole number"), HasSubstr("no title")));
  value = Value();
  value.features = std::string(100000, '\x91') + "\x01";
  EXPECT_THAT(value_refusal(value.bytes()), HasSubstr("nested deeper than 32"));
}

TEST(LmdbValue, IsNeverMistakenWhenCutShort) {
  const std::string value = Value().bytes();
  for (size_t length = 0; length < value.size(); ++length)
    EXPECT_NE(value_refusal(value.substr(0, length)), "") << length;
}

}  // namespace
}  // namespace capture
