// Any bytes as a line of a TSV file: refused in words, or a sample whose parts agree.
#include <cstdlib>
#include <string_view>

#include "capture/base/error.h"
#include "capture/data/import/row.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const capture::RowRules rules{
      .min_regions = 1, .windows_line_ends = (data[0] & 1) != 0, .titles_elsewhere = (data[0] & 2) != 0};
  const std::string_view line(reinterpret_cast<const char*>(data) + 1, size - 1);
  capture::Sample sample;
  try {
    capture::parse_tsv_row(line, rules, sample);
  } catch (const capture::UserError&) {
    return 0;
  }
  const capture::Regions& regions = sample.views.at(0);
  const bool agree = regions.boxes.size() % 4 == 0 && regions.count() >= 1 && regions.count() <= 36 &&
                     regions.features.size() % static_cast<size_t>(regions.count()) == 0 && sample.titles.size() == 1;
  if (!agree) std::abort();
  return 0;
}
