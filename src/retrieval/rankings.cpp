#include "capture/retrieval/rankings.h"

#include <algorithm>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/text_lines.h"

namespace capture {

namespace {

constexpr size_t kWriteBytes = size_t{1} << 20;

void check_writable(const std::filesystem::path& path, std::string_view id) {
  if (strip(id) == id && id.find_first_of(",\r\n") == std::string_view::npos) return;
  throw UserError({.what = "the id '" + std::string(id) + "' cannot stand in a ranking",
                   .where = path.string(),
                   .allowed = "ids without commas, line breaks, or white space at their ends"});
}

}  // namespace

void write_rankings(const std::filesystem::path& path, const Rankings& rankings, const GroundTruth& truth,
                    size_t depth) {
  for (const Ranking& ranking : rankings.lines) check_writable(path, ranking.query_id);
  for (int32_t item = 0; item < truth.gallery_size(); ++item) check_writable(path, truth.item_id(item));
  AtomicFile file(path);
  std::string text;
  for (const Ranking& ranking : rankings.lines) {
    text += ranking.query_id;
    auto unknown = ranking.unknown.begin();
    const size_t count = depth == 0 ? ranking.items.size() : std::min(depth, ranking.items.size());
    for (size_t i = 0; i < count; ++i) {
      text += ',';
      text += ranking.items[i] == kUnknown ? *unknown++ : truth.item_id(ranking.items[i]);
    }
    text += '\n';
    if (text.size() > kWriteBytes) {
      file.write(text);
      text.clear();
    }
  }
  file.write(text);
  file.commit();
}

}  // namespace capture
