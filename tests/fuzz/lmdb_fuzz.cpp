// Any bytes as an LMDB file, and as a value of one: refused in words, or records whose keys ascend, or a sample whose
// parts agree.
#include <cstdlib>
#include <span>
#include <string>

#include "capture/base/error.h"
#include "capture/data/import/row.h"
#include "data/import/lmdb_tree.h"

namespace {

void read_file(std::span<const std::byte> file) {
  try {
    const capture::LmdbTree tree(file, "input");
    capture::LmdbTree::Cursor cursor(tree);
    size_t sum = 0;
    std::string last;
    while (const auto record = cursor.next()) {
      for (const char letter : record->value) sum += static_cast<unsigned char>(letter);
      if (record->key < last) std::abort();
      last = record->key;
      tree.find(record->key);
    }
    if (sum == ~size_t{0}) std::abort();  // so that the reading of values is not left out
  } catch (const capture::UserError&) {
  }
}

void read_value(std::span<const std::byte> value) {
  capture::is_pyarrow(value);
  capture::Sample sample;
  try {
    capture::parse_lmdb_value(value, {.min_regions = 1}, sample);
  } catch (const capture::UserError&) {
    return;
  }
  const capture::Regions& regions = sample.views.at(0);
  const bool agree = regions.boxes.size() % 4 == 0 && regions.count() >= 1 && regions.count() <= 36 &&
                     regions.features.size() % static_cast<size_t>(regions.count()) == 0 &&
                     sample.id == capture::lmdb_value_id(value);
  if (!agree) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  read_file(bytes);
  read_value(bytes);
  return 0;
}
