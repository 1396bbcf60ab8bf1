#include "shortlist.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <utility>

namespace capture {

namespace {

void keep_best(std::vector<Match>& matches, ByRank by_rank, size_t depth) {
  const size_t kept = std::min(depth, matches.size());
  std::ranges::partial_sort(matches, matches.begin() + static_cast<std::ptrdiff_t>(kept), by_rank);
  matches.resize(kept);
}

}  // namespace

float Judge::exact(int32_t item) const {
  at::Tensor buffer;
  return exact_score(query, {gallery.read(item, item + 1, buffer), query.size()});
}

void Shortlist::add_exact(Match match) {
  matches_.push_back(match);
  std::swap(matches_[exact_++], matches_.back());
}

void Shortlist::add(const Shortlist& other) {
  const auto middle = other.matches_.begin() + static_cast<std::ptrdiff_t>(other.exact_);
  matches_.insert(matches_.begin() + static_cast<std::ptrdiff_t>(exact_), other.matches_.begin(), middle);
  matches_.insert(matches_.end(), middle, other.matches_.end());
  exact_ += other.exact_;
}

float Shortlist::narrow(const Judge& judge, float floor) {
  const auto error = [&](size_t i) { return i < exact_ ? 0 : judge.error(matches_[i].item); };
  if (matches_.size() >= judge.depth) {
    std::vector<float> at_least;
    for (size_t i = 0; i < matches_.size(); ++i) at_least.push_back(matches_[i].score - error(i));
    const auto last = at_least.begin() + static_cast<std::ptrdiff_t>(judge.depth) - 1;
    std::ranges::nth_element(at_least, last, std::greater<>());
    floor = std::max(floor, *last);
  }
  size_t kept = 0, kept_exact = 0;
  for (size_t i = 0; i < matches_.size(); ++i) {
    if (matches_[i].score + error(i) < floor) continue;
    if (i < exact_) ++kept_exact;
    matches_[kept++] = matches_[i];
  }
  matches_.resize(kept);
  exact_ = kept_exact;
  return floor;
}

float Shortlist::settle(const Judge& judge, float floor) {
  for (Match& match : uncertain()) match.score = judge.exact(match.item);
  keep_best(matches_, judge.by_rank, judge.depth);
  exact_ = matches_.size();
  return exact_ < judge.depth ? floor : std::max(floor, matches_.back().score);
}

std::vector<Match> Shortlist::take(ByRank by_rank, size_t depth) {
  keep_best(matches_, by_rank, depth);
  return std::move(matches_);
}

}  // namespace capture
