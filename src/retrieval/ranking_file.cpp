#include "ranking_file.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "capture/base/parallel.h"
#include "capture/base/running_checksum.h"
#include "capture/base/text_lines.h"

namespace capture {

namespace {

/// What a thread reads at a time: little enough to stay in its cache from the first look to the last.
constexpr size_t kPartBytes = size_t{1} << 19;
constexpr size_t kWhole = std::numeric_limits<size_t>::max();

/// Finds out which item is the first to stand twice in a ranking.
class RepeatFinder {
 public:
  explicit RepeatFinder(int32_t gallery_size) : seen_in_(static_cast<size_t>(gallery_size)) {}

  int32_t find(std::span<const int32_t> items) {
    next_ranking();
    bool repeats = false;
    for (const int32_t item : items) repeats |= item != kUnknown && see(item);
    if (!repeats) return kUnknown;
    next_ranking();
    return *std::ranges::find_if(items, [&](int32_t item) { return item != kUnknown && see(item); });
  }

 private:
  /// Whether the item was seen in this ranking before.
  bool see(int32_t item) { return std::exchange(seen_in_[static_cast<size_t>(item)], ranking_) == ranking_; }

  void next_ranking() {
    if (++ranking_ != 0) return;
    std::ranges::fill(seen_in_, uint8_t{0});
    ranking_ = 1;
  }

  std::vector<uint8_t> seen_in_;  // by item: the last ranking that it stood in
  uint8_t ranking_ = 0;           // a number for the current one; when numbers run out, all is forgotten
};

/// Looks at all of them: that is quicker than stopping at the first, of which there hardly ever is one.
bool any_unknown(std::span<const int32_t> items) {
  static_assert(kUnknown < 0);
  int32_t signs = 0;
  for (const int32_t item : items) signs |= item;
  return signs < 0;
}

/// Reads lines one after the other, no ids past the first `depth` of a line. One a thread.
class LineReader {
 public:
  LineReader(const GroundTruth& truth, size_t depth, size_t most_unknown)
      : truth_(truth), depth_(depth), most_unknown_(most_unknown), repeats_(truth.gallery_size()) {}

  /// Fills the ranking but for its items, which stand in the memory returned until the next call.
  std::span<const int32_t> read(std::string_view text, Ranking& ranking) {
    const size_t comma = text.find(',');
    ranking.query_id = text.substr(0, comma);
    ranking.query = truth_.find_query(ranking.query_id);
    if (comma == std::string_view::npos) return {};
    const std::span<const int32_t> items = truth_.items().find_all(text.substr(comma + 1), depth_, scratch_);
    if (any_unknown(items)) note_unknown(text.substr(comma + 1), items, ranking);
    ranking.repeated = repeats_.find(items);
    return items;
  }

 private:
  void note_unknown(std::string_view ids, std::span<const int32_t> items, Ranking& ranking) const {
    size_t place = 0;
    split(ids, ",", [&](std::string_view id) {
      const bool unknown = place < items.size() && items[place++] == kUnknown;
      if (unknown && ranking.unknown.size() < most_unknown_) ranking.unknown.emplace_back(id);
    });
  }

  const GroundTruth& truth_;
  size_t depth_;
  size_t most_unknown_;  // to be named
  RepeatFinder repeats_;
  std::vector<int32_t> scratch_;
};

/// Keeps no more of the file in memory than it looks at.
uint64_t checksum_of(const TextLines& lines) {
  RunningChecksum sum;
  for (std::string_view left = lines.bytes(); !left.empty(); left.remove_prefix(std::min(kPartBytes, left.size()))) {
    const std::string_view block = left.substr(0, kPartBytes);
    sum.add(std::as_bytes(std::span(block)));
    lines.release(block);
  }
  return sum.value();
}

struct Part {
  std::vector<Ranking> rankings;  // lines numbered as if they were the file's first
  std::vector<RankingFigures> figures;
};

}  // namespace

RankingFile read_ranking_file(const std::filesystem::path& path, const GroundTruth& truth,
                              const EvaluationOptions* options, const KeptOfFile& keep) {
  const bool head = !keep.items && options != nullptr && options->protocol == Protocol::product1m_official;
  const size_t depth = head ? static_cast<size_t>(greatest(options->at)) : kWhole;
  const TextLines lines(path);
  RankingFile file;
  file.rankings.name = path.string();
  std::optional<std::jthread> summing;
  if (keep.checksum) summing.emplace([&] { file.rankings.checksum = checksum_of(lines); });

  LineParts texts = lines.parts(kPartBytes);
  std::vector<Part> parts(texts.end());
  for_each_index(texts.end(), core_count(), [&](size_t i) {
    const std::string_view text_part = texts[i];
    Part part;
    LineReader reader(truth, depth, keep.items ? kWhole : 1);
    std::optional<Scorer> scorer;
    if (options != nullptr) scorer.emplace(truth, *options);
    lines.for_each_in(text_part, [&](int64_t line, std::string_view text) {
      Ranking& ranking = part.rankings.emplace_back();
      ranking.line = line;
      const std::span<const int32_t> items = reader.read(text, ranking);
      if (keep.items) ranking.items.assign(items.begin(), items.end());
      if (scorer) part.figures.push_back(scorer->score(ranking, items));
    });
    lines.release(text_part);
    parts[i] = std::move(part);
  });

  for (Part& part : parts) {
    const auto before = static_cast<int64_t>(file.rankings.lines.size());
    for (Ranking& ranking : part.rankings) ranking.line += before;
    std::ranges::move(part.rankings, std::back_inserter(file.rankings.lines));
    std::ranges::move(part.figures, std::back_inserter(file.figures));
  }
  return file;
}

Rankings read_rankings(const std::filesystem::path& path, const GroundTruth& truth) {
  return read_ranking_file(path, truth, nullptr, {.items = true, .checksum = true}).rankings;
}

}  // namespace capture
