#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>

#include "capture/data/import/row.h"
#include "msgpack.h"
#include "row_checks.h"

namespace capture {

static_assert(std::endian::native == std::endian::little, "the files' numbers are little-endian");

namespace {

using Kind = MsgpackReader::Kind;

constexpr uint64_t kItems = 7;

/// A numpy array or scalar as msgpack-numpy writes it: a map with the keys nd, type, kind, shape and data.
struct NumpyValue {
  std::string_view type = {};  ///< "<f4"
  std::string_view data = {};
  uint64_t rows = 1;
  uint64_t columns = 1;  ///< the product of what follows the rows
};

void read_shape(MsgpackReader& reader, NumpyValue& array) {
  const auto shape = reader.next();
  if (shape.kind != Kind::array || shape.items > 32) refuse_row("has an array whose shape is no list of sizes");
  for (uint64_t i = 0; i < shape.items; ++i) {
    const auto size = reader.next();
    // More than that is no size of an array that fits into a row, and products cannot overflow.
    constexpr int64_t kMost = int64_t{1} << 24;
    if (size.kind != Kind::integer || size.is_unsigned || size.integer < 0 || size.integer > kMost) {
      refuse_row("has an array with a size that is out of range", "0 to 16777216");
    }
    uint64_t& part = i == 0 ? array.rows : array.columns;
    part *= static_cast<uint64_t>(size.integer);
    if (part > static_cast<uint64_t>(kMost)) refuse_row("has an array too large for a row", "16777216 numbers");
  }
}

/// `map` has been read; its pairs follow.
NumpyValue read_numpy(MsgpackReader& reader, const MsgpackReader::Value& map, const char* what) {
  NumpyValue value;
  bool has_data = false;
  for (uint64_t i = 0; i < map.items; ++i) {
    const auto key = reader.next();
    if (key.kind != Kind::bytes) refuse_row(std::string("has ") + what + " that are no numpy array");
    if (key.bytes == "type") {
      value.type = reader.next().bytes;
    } else if (key.bytes == "shape") {
      read_shape(reader, value);
    } else if (key.bytes == "data") {
      value.data = reader.next().bytes;
      has_data = true;
    } else {
      reader.skip();  // nd and kind say nothing that shape and type do not
    }
  }
  if (!has_data || value.type.empty()) refuse_row(std::string("has ") + what + " that are no numpy array");
  return value;
}

NumpyValue read_array(MsgpackReader& reader, const char* what) {
  const auto map = reader.next();
  if (map.kind != Kind::map) {
    refuse_row(std::string("has ") + what + " that are no numpy array", "a map as msgpack-numpy writes it");
  }
  NumpyValue array = read_numpy(reader, map, what);
  if (array.type != "<f4" && array.type != "<f8") {
    refuse_row(std::string("has ") + what + " of type " + quoted(array.type), "\"<f4\" (float32) or \"<f8\"");
  }
  const uint64_t size = array.type == "<f4" ? sizeof(float) : sizeof(double);
  if (array.data.size() % size != 0 || array.data.size() / size != array.rows * array.columns) {
    refuse_row(std::string("has ") + what + " of " + std::to_string(array.data.size()) + " bytes and a shape of " +
                   std::to_string(array.rows) + " by " + std::to_string(array.columns),
               std::to_string(array.rows * array.columns * size) + " bytes");
  }
  return array;
}

void copy_numbers(const NumpyValue& array, std::vector<float>& out) {
  out.resize(array.rows * array.columns);
  if (array.type == "<f4") {
    if (!out.empty()) std::memcpy(out.data(), array.data.data(), array.data.size());
    return;
  }
  for (size_t i = 0; i < out.size(); ++i) {
    double value = 0;
    std::memcpy(&value, array.data.data() + i * sizeof value, sizeof value);
    out[i] = static_cast<float>(value);
  }
}

/// A number that numpy wrote, of whatever integer or floating type.
double read_scalar(const NumpyValue& scalar, const char* what) {
  const std::string_view type = scalar.type.size() == 3 ? scalar.type.substr(1) : std::string_view();
  const auto is = [&](std::string_view name, size_t size) { return type == name && scalar.data.size() == size; };
  const auto as = [&]<class T>(T value) {
    std::memcpy(&value, scalar.data.data(), sizeof value);
    return static_cast<double>(value);
  };
  if (scalar.type.starts_with('>')) refuse_row(std::string("has a big-endian ") + what);
  if (is("i8", 8) || is("u8", 8)) return as(int64_t{});
  if (is("i4", 4)) return as(int32_t{});
  if (is("u4", 4)) return as(uint32_t{});
  if (is("i2", 2)) return as(int16_t{});
  if (is("u2", 2)) return as(uint16_t{});
  if (is("u1", 1)) return as(uint8_t{});
  if (is("f4", 4)) return as(float{});
  if (is("f8", 8)) return as(double{});
  refuse_row(std::string("has a ") + what + " of type " + quoted(scalar.type), "a whole number");
}

int64_t read_number(MsgpackReader& reader, const char* what) {
  const auto value = reader.next();
  if (value.kind == Kind::integer && !value.is_unsigned && value.integer >= 0) return value.integer;
  double number = -1;
  if (value.kind == Kind::floating) number = value.floating;
  if (value.kind == Kind::map) number = read_scalar(read_numpy(reader, value, what), what);
  constexpr double kMost = 1e15;  // every whole number up to here is a double
  if (!(number >= 0 && number <= kMost) || number != std::floor(number)) {
    refuse_row(std::string("has something else than a whole number for its ") + what);
  }
  return static_cast<int64_t>(number);
}

std::string to_id(const MsgpackReader::Value& value) {
  if (value.kind == Kind::bytes) return std::string(value.bytes);
  if (value.kind == Kind::integer && !value.is_unsigned) return std::to_string(value.integer);
  return {};
}

void check_list(MsgpackReader& reader) {
  const auto list = reader.next();
  if (list.kind == Kind::array && list.items == kItems) return;
  refuse_row(list.kind == Kind::array ? "is a list of " + std::to_string(list.items) + " items" : "is no list",
             "7 items: features, boxes, num_boxes, image_h, image_w, image_id, caption");
}

}  // namespace

bool is_pyarrow(std::span<const std::byte> value) {
  // Counts of tensors and buffers, then an Arrow message: a marker of four 0xFF bytes (since Arrow 0.15) and the root
  // of its flatbuffer. MessagePack begins with the mark of a list instead.
  const std::string_view start(reinterpret_cast<const char*>(value.data()), std::min<size_t>(value.size(), 64));
  if (start.size() < 64) return false;
  uint32_t counts[2];
  std::memcpy(counts, start.data(), sizeof counts);
  constexpr uint32_t kMost = 1 << 16;
  constexpr std::string_view kRoot("\x10\0\0\0\0\0\x0A\0", 8);
  return counts[0] < kMost && counts[1] < kMost && start.find(kRoot) != std::string_view::npos;
}

std::string lmdb_value_id(std::span<const std::byte> value) {
  MsgpackReader reader(value);
  check_list(reader);
  for (int i = 0; i < 5; ++i) reader.skip();
  return to_id(reader.next());
}

void parse_lmdb_value(std::span<const std::byte> value, const RowRules& rules, Sample& sample) {
  sample.id.clear();
  sample.id = lmdb_value_id(value);
  MsgpackReader reader(value);
  check_list(reader);
  const NumpyValue features = read_array(reader, "features");
  const NumpyValue boxes = read_array(reader, "boxes");
  const int64_t count = read_number(reader, "number of boxes");
  sample.views.resize(1);
  Regions& regions = sample.views.front();
  regions.image_height = read_number(reader, "image height");
  regions.image_width = read_number(reader, "image width");
  reader.skip();  // the id, read above
  const auto caption = reader.next();
  if (reader.left() > 0) refuse_row("has " + std::to_string(reader.left()) + " bytes behind its end");

  check_region_count(rules, count);
  const auto expect_rows = [&](const NumpyValue& array, const char* what) {
    if (array.rows == static_cast<uint64_t>(count)) return;
    refuse_row("has " + std::string(what) + " for " + std::to_string(array.rows) + " boxes", std::to_string(count));
  };
  expect_rows(boxes, "coordinates");
  expect_rows(features, "features");
  if (boxes.columns != 4) refuse_row("has " + std::to_string(boxes.columns) + " numbers a box", "4");
  checked_feature_width(rules, features.rows * features.columns, count);
  copy_numbers(boxes, regions.boxes);
  copy_numbers(features, regions.features);

  sample.titles.resize(1);
  sample.titles.front() = caption.kind == Kind::bytes ? caption.bytes : std::string_view();
  if (!rules.titles_elsewhere) check_title(sample.titles.front());
}

}  // namespace capture
