#include "row_checks.h"

#include <utility>

#include "capture/base/error.h"
#include "capture/base/json.h"
#include "capture/base/text_lines.h"

namespace capture {

void refuse_row(std::string what, std::string allowed, std::string hint) {
  throw UserError({.what = std::move(what), .allowed = std::move(allowed), .hint = std::move(hint)});
}

void check_region_count(const RowRules& rules, int64_t count) {
  if (count >= rules.min_regions && count <= rules.max_regions) return;
  const std::string allowed = rules.min_regions == rules.max_regions
                                  ? std::to_string(rules.min_regions)
                                  : std::to_string(rules.min_regions) + " to " + std::to_string(rules.max_regions);
  refuse_row("has " + std::to_string(count) + " boxes", allowed,
             count < rules.min_regions ? "--min-regions keeps rows with fewer" : "--max-regions makes room for more");
}

int64_t checked_feature_width(const RowRules& rules, uint64_t numbers, int64_t regions) {
  const auto count = static_cast<uint64_t>(regions);
  const uint64_t width = numbers / count;
  if (numbers % count != 0 || width < 1 || width > 65536) {
    refuse_row("has " + std::to_string(numbers) + " feature values for " + std::to_string(regions) + " boxes",
               "the same number for each box, 1 to 65536");
  }
  if (rules.feature_width != 0 && width != static_cast<uint64_t>(rules.feature_width)) {
    refuse_row("has " + std::to_string(width) + " feature values a box",
               std::to_string(rules.feature_width) + ", as the rows before");
  }
  return static_cast<int64_t>(width);
}

void check_title(std::string_view title) {
  if (strip(title).empty()) refuse_row("has no title", "a title with something in it");
}

std::string quoted(std::string_view text) {
  constexpr size_t kShown = 40;
  return to_line(Json(std::string(text.substr(0, kShown)))) + (text.size() > kShown ? " …" : "");
}

}  // namespace capture
