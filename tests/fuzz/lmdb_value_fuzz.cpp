// Any bytes as a value of an LMDB: refused in words, or a sample whose parts agree.
#include <cstdlib>
#include <span>

#include "capture/base/error.h"
#include "capture/data/import/row.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> value(reinterpret_cast<const std::byte*>(data), size);
  capture::is_pyarrow(value);
  capture::Sample sample;
  try {
    capture::parse_lmdb_value(value, {.min_regions = 1}, sample);
  } catch (const capture::UserError&) {
    return 0;
  }
  const capture::Regions& regions = sample.views.at(0);
  const bool agree = regions.boxes.size() % 4 == 0 && regions.count() >= 1 && regions.count() <= 36 &&
                     regions.features.size() % static_cast<size_t>(regions.count()) == 0 &&
                     sample.id == capture::lmdb_value_id(value);
  if (!agree) std::abort();
  return 0;
}
