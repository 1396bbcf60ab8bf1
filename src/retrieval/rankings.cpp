#include "capture/retrieval/rankings.h"

#include <algorithm>
#include <utility>

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

Rankings read_rankings(const std::filesystem::path& path, const GroundTruth& truth) {
  const TextLines lines(path);
  Rankings rankings;
  rankings.name = path.string();
  rankings.checksum = checksum(lines.bytes());
  lines.for_each([&](int64_t line, std::string_view text) {
    Ranking ranking;
    ranking.line = line;
    bool first = true;
    ranking.items.reserve(static_cast<size_t>(std::ranges::count(text, ',')));
    split(text, ",", [&](std::string_view id) {
      if (std::exchange(first, false)) {
        ranking.query_id = id;
        ranking.query = truth.find_query(id);
        return;
      }
      ranking.items.push_back(truth.find_item(id));
      if (ranking.items.back() == kUnknown) ranking.unknown.emplace_back(id);
    });
    rankings.lines.push_back(std::move(ranking));
  });
  return rankings;
}

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
