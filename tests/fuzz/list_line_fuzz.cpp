// Any bytes as a line of a product list: refused in words, or fields that put together give the line again.
#include <cstdlib>
#include <string>
#include <string_view>

#include "capture/base/error.h"
#include "capture/base/text_lines.h"
#include "capture/data/import/row.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (capture::find_invalid_utf8(text) != std::string_view::npos) return 0;
  const std::string_view line = capture::strip(text);
  capture::ListLine parsed;
  try {
    parsed = capture::parse_list_line(line);
  } catch (const capture::UserError&) {
    return 0;
  }
  std::string again;
  for (const auto field : {parsed.id, parsed.caption, parsed.source_url, parsed.mirror_url}) {
    again.append(field).append("#####");
  }
  for (const auto label : parsed.labels) again.append(label).append("#;#");
  again.resize(again.size() - 3);
  if (parsed.fields == 5 ? again != line : !line.starts_with(again + "#####")) std::abort();
  return 0;
}
