#include "capture/base/error.h"

#include <algorithm>
#include <numeric>

namespace capture {

namespace {

std::string sentence(const UserError::Parts& parts) {
  std::string text = parts.where.empty() ? parts.what : parts.where + ": " + parts.what;
  if (!parts.allowed.empty()) text += "; allowed: " + parts.allowed;
  if (!parts.hint.empty()) text += "; " + parts.hint;
  return text;
}

size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

UserError::UserError(Parts parts) : std::runtime_error(sentence(parts)), parts_(std::move(parts)) {}

std::string nearest_word(const std::string& word, const std::vector<std::string>& candidates) {
  if (word.size() > 256) return {};
  std::string best;
  size_t best_distance = std::max<size_t>(word.size() / 2, 2) + 1;
  for (const auto& candidate : candidates) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace capture
