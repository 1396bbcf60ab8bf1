#include "capture/retrieval/rankings.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <thread>
#include <utility>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/in_order.h"
#include "capture/base/text_lines.h"

namespace capture {

namespace {

constexpr size_t kWriteBytes = size_t{1} << 20;
/// What a thread reads at a time.
constexpr size_t kPartBytes = size_t{4} << 20;

void check_writable(const std::filesystem::path& path, std::string_view id) {
  if (strip(id) == id && id.find_first_of(",\r\n") == std::string_view::npos) return;
  throw UserError({.what = "the id '" + std::string(id) + "' cannot stand in a ranking",
                   .where = path.string(),
                   .allowed = "ids without commas, line breaks, or white space at their ends"});
}

/// Finds out which item is the first to stand twice in a ranking.
class RepeatFinder {
 public:
  explicit RepeatFinder(int32_t gallery_size) : seen_(static_cast<size_t>(gallery_size)) {}

  int32_t find(std::span<const int32_t> items) {
    uint8_t repeats = 0;
    for (const int32_t item : items) {
      if (item != kUnknown) repeats |= std::exchange(seen_[static_cast<size_t>(item)], 1);
    }
    clear(items);
    return repeats == 0 ? kUnknown : first_repeat(items);
  }

 private:
  int32_t first_repeat(std::span<const int32_t> items) {
    const auto first = std::ranges::find_if(items, [&](int32_t item) {
      return item != kUnknown && std::exchange(seen_[static_cast<size_t>(item)], 1) == 1;
    });
    clear(items);
    return *first;
  }

  void clear(std::span<const int32_t> items) {
    for (const int32_t item : items) {
      if (item != kUnknown) seen_[static_cast<size_t>(item)] = 0;
    }
  }

  std::vector<uint8_t> seen_;  // one an item, all 0 between calls
};

/// The ids behind every kUnknown.
std::vector<std::string> unknown_ids(std::string_view ids, std::span<const int32_t> items) {
  std::vector<std::string> unknown;
  size_t place = 0;
  split(ids, ",", [&](std::string_view id) {
    if (items[place++] == kUnknown) unknown.emplace_back(id);
  });
  return unknown;
}

/// The rankings in whole lines of the file, numbered as if they were its first.
std::vector<Ranking> read_part(const TextLines& lines, std::string_view part, const GroundTruth& truth) {
  std::vector<Ranking> rankings;
  std::vector<int32_t> items;  // with room for any line
  RepeatFinder repeats(truth.gallery_size());
  lines.for_each_in(part, [&](int64_t line, std::string_view text) {
    Ranking& ranking = rankings.emplace_back();
    const size_t comma = text.find(',');
    ranking.line = line;
    ranking.query_id = text.substr(0, comma);
    ranking.query = truth.find_query(ranking.query_id);
    if (comma == std::string_view::npos) return;
    items.clear();
    truth.items().find_all(text.substr(comma + 1), items);
    ranking.items = items;
    if (std::ranges::find(items, kUnknown) != items.end()) ranking.unknown = unknown_ids(text.substr(comma + 1), items);
    ranking.repeated = repeats.find(items);
  });
  return rankings;
}

}  // namespace

Rankings read_rankings(const std::filesystem::path& path, const GroundTruth& truth) {
  const TextLines lines(path);
  Rankings rankings;
  rankings.name = path.string();
  const std::vector<std::string_view> parts = lines.parts(kPartBytes);
  const std::jthread summing([&] { rankings.checksum = checksum(lines.bytes()); });
  const auto take = [&](size_t, std::vector<Ranking>&& read) {
    const auto before = static_cast<int64_t>(rankings.lines.size());
    for (Ranking& ranking : read) ranking.line += before;
    std::ranges::move(read, std::back_inserter(rankings.lines));
  };
  in_order(
      parts.size(), std::max(1U, std::thread::hardware_concurrency()),
      [&](size_t i) { return read_part(lines, parts[i], truth); }, take);
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
