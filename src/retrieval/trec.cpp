#include "capture/retrieval/trec.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "capture/base/files.h"

namespace capture {

namespace {

constexpr size_t kWriteBytes = size_t{1} << 20;

/// An id as one word.
std::string word_of(std::string_view id) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string word;
  for (const char letter : id) {
    const auto byte = static_cast<unsigned char>(letter);
    // White space of other scripts has bytes above 127, which these formats do not split at.
    if (byte > ' ' && letter != '%') {
      word += letter;
    } else {
      word += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return word;
}

template <class Number>
void append_number(std::string& text, Number number) {
  char digits[32];
  text.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

/// AtomicFile with a buffer before it.
class Lines {
 public:
  explicit Lines(const std::filesystem::path& path) : file_(path) {}
  std::string& text() { return text_; }
  void end_line() {
    text_ += '\n';
    if (text_.size() > kWriteBytes) flush();
  }
  void commit() {
    flush();
    file_.commit();
  }

 private:
  void flush() {
    file_.write(text_);
    text_.clear();
  }

  AtomicFile file_;
  std::string text_;
};

std::vector<std::string> item_words(const GroundTruth& truth) {
  std::vector<std::string> words;
  for (int32_t item = 0; item < truth.gallery_size(); ++item) words.push_back(word_of(truth.item_id(item)));
  return words;
}

}  // namespace

void write_trec_run(const std::filesystem::path& path, const Rankings& rankings, const GroundTruth& truth, size_t depth,
                    const char* tag) {
  const std::vector<std::string> words = item_words(truth);
  Lines lines(path);
  std::unordered_set<std::string_view> queries;
  for (const Ranking& ranking : rankings.lines) {
    if (ranking.query_id.empty() || !queries.insert(ranking.query_id).second) continue;
    const std::string query = word_of(ranking.query_id);
    const size_t count = depth == 0 ? ranking.items.size() : std::min(depth, ranking.items.size());
    std::unordered_set<std::string> seen;
    auto unknown = ranking.unknown.begin();
    float last = std::numeric_limits<float>::infinity();
    for (size_t i = 0; i < count; ++i) {
      const int32_t item = ranking.items[i];
      const std::string word = item == kUnknown ? word_of(*unknown++) : words[static_cast<size_t>(item)];
      if (word.empty() || !seen.insert(word).second) continue;
      const float score = ranking.scores.empty() ? -static_cast<float>(seen.size()) : ranking.scores[i];
      last = score < last ? score : std::nextafter(last, -std::numeric_limits<float>::infinity());
      lines.text() += query + " Q0 " + word + ' ';
      append_number(lines.text(), seen.size());
      lines.text() += ' ';
      append_number(lines.text(), last);
      lines.text() += ' ';
      lines.text() += tag;
      lines.end_line();
    }
  }
  lines.commit();
}

void write_trec_qrels(const std::filesystem::path& path, const GroundTruth& truth) {
  const std::vector<std::string> words = item_words(truth);
  std::vector<std::vector<int32_t>> items_of;  // by label
  for (int32_t item = 0; item < truth.gallery_size(); ++item) {
    if (truth.item_label(item) == kUnknown) continue;
    const auto label = static_cast<size_t>(truth.item_label(item));
    items_of.resize(std::max(items_of.size(), label + 1));
    items_of[label].push_back(item);
  }
  Lines lines(path);
  for (const GroundTruthQuery& query : truth.queries()) {
    std::vector<int32_t> positives;
    for (const int32_t label : query.distinct_labels) {
      if (static_cast<size_t>(label) >= items_of.size()) continue;
      positives.insert(positives.end(), items_of[static_cast<size_t>(label)].begin(),
                       items_of[static_cast<size_t>(label)].end());
    }
    std::ranges::sort(positives);
    const std::string id = word_of(query.id);
    for (const int32_t item : positives) {
      lines.text() += id + " 0 " + words[static_cast<size_t>(item)] + " 1";
      lines.end_line();
    }
  }
  lines.commit();
}

}  // namespace capture
