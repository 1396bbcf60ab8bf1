#include "epoch_order.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>

#include "capture/base/error.h"
#include "capture/tensor/random.h"
#include "purpose.h"

namespace capture {

namespace {

std::string place_of(const Dataset& dataset) {
  return dataset.shards().front().path().string();
}

Mixture mixture_of(const Dataset& dataset, const LoaderOptions& options) {
  const std::vector<int64_t> sizes = dataset.part_sizes();
  if (!options.weights.empty() && options.weights.size() != sizes.size()) {
    throw UserError({.what = "loader.weights has " + std::to_string(options.weights.size()) + " numbers for " +
                             std::to_string(sizes.size()) + (sizes.size() == 1 ? " path" : " paths") + " of data.train",
                     .where = "the configuration",
                     .allowed = "one number a path, or none"});
  }
  Mixture mixture(sizes, options.weights, static_cast<uint64_t>(options.seed));
  if (mixture.size() == 0) {
    throw UserError({.what = "loader.weights leave nothing to show",
                     .where = "the configuration",
                     .allowed = "at least one weight that is large enough for one sample"});
  }
  return mixture;
}

}  // namespace

EpochOrder::EpochOrder(const Dataset& dataset, const LoaderOptions& options, const LoaderPlan& plan, bool token_ids)
    : dataset_(dataset),
      batch_size_(options.batch_size),
      window_batches_(options.bucket_batches),
      shuffle_(options.shuffle),
      token_ids_(token_ids),
      seed_(static_cast<uint64_t>(options.seed)),
      mixture_(mixture_of(dataset, options)),
      sampler_(mixture_.size(), seed_, options.shuffle, plan.rank, plan.world_size,
               options.drop_last ? Remainder::drop : Remainder::wrap),
      batches_((sampler_.size() + (options.drop_last ? 0 : batch_size_ - 1)) / batch_size_),
      positions_(std::min(sampler_.size(), batches_ * batch_size_)),
      rank_(plan.rank),
      world_size_(plan.world_size),
      stand_ins_(std::max<int64_t>(sampler_.size() * plan.world_size - mixture_.size(), 0)) {
  if (batches_ > 0) return;
  throw UserError({.what = "the dataset has " + std::to_string(mixture_.size()) +
                           " samples, not enough for one batch of " + std::to_string(batch_size_) + " on each of " +
                           std::to_string(plan.world_size) + " ranks",
                   .where = place_of(dataset),
                   .hint = "use a smaller batch_size, or drop_last = false"});
}

const RankBatch& EpochOrder::batch(int64_t epoch, int64_t index) {
  auto& draws = batch_.draws;
  draws.clear();
  if (window_batches_ > 1) {
    const int64_t window = index / window_batches_;
    if (epoch != window_epoch_ || window != window_) sort_window(epoch, window);
    const auto in_window = static_cast<size_t>(index % window_batches_);
    draws.assign(sorted_.begin() + starts_[in_window], sorted_.begin() + starts_[in_window + 1]);
  } else {
    const int64_t end = std::min((index + 1) * batch_size_, positions_);
    for (int64_t position = index * batch_size_; position < end; ++position) {
      draws.push_back(at_place(epoch, position * world_size_ + rank_));
    }
  }
  const bool last = index + 1 == batches_;
  batch_.pairs = static_cast<int64_t>(draws.size()) * world_size_ - (last ? stand_ins_ : 0);
  batch_.stands_in = last && stands_in((positions_ - 1) * world_size_ + rank_);
  return batch_;
}

SampleDraw EpochOrder::at_place(int64_t epoch, int64_t place) const {
  const auto number = static_cast<uint64_t>(epoch);
  return mixture_.at(number, sampler_.at_place(number, place));
}

void EpochOrder::sort_window(int64_t epoch, int64_t window) {
  // All ranks sort the same window of all their batches, and deal each sorted batch among themselves: a step has the
  // same samples on any number of ranks, and about equally long titles on each.
  const int64_t batch = batch_size_ * world_size_;
  const int64_t first = window * window_batches_ * batch;
  const int64_t end = std::min(first + window_batches_ * batch, positions_ * world_size_);
  std::vector<SampleDraw> drawn;
  std::vector<std::pair<int64_t, int64_t>> lengths;  // with the place in `drawn`, which settles ties
  for (int64_t place = first; place < end; ++place) {
    drawn.push_back(at_place(epoch, place));
    // Stand-ins stay the last of the last batch.
    const int64_t length = stands_in(place) ? std::numeric_limits<int64_t>::max() : title_length(drawn.back().sample);
    lengths.emplace_back(length, place - first);
  }
  std::ranges::sort(lengths);
  // Were the batches left in order of length, each window would be a lesson plan from short to long. A batch that
  // samples do not fill stays the last.
  const int64_t full = (std::min(end, mixture_.size()) - first) / batch;
  RandomStream random(seed_, static_cast<uint64_t>(epoch), static_cast<uint64_t>(window), purpose::bucket);
  const Permutation order(std::max<int64_t>(full, 1), random);
  sorted_.clear();
  starts_ = {0};
  for (int64_t start = 0; start < end - first; start += batch) {
    const int64_t number = start / batch;
    const int64_t from = (number < full && shuffle_ ? order(number) : number) * batch;
    const int64_t to = std::min(from + batch, end - first);
    for (int64_t i = from + rank_; i < to; i += world_size_) {
      sorted_.push_back(drawn[static_cast<size_t>(lengths[static_cast<size_t>(i)].second)]);
    }
    starts_.push_back(static_cast<int64_t>(sorted_.size()));
  }
  window_epoch_ = epoch;
  window_ = window;
}

int64_t EpochOrder::title_length(int64_t sample) const {
  const SampleView view = dataset_.sample(sample);
  return token_ids_ ? view.token_ids(0)->size() : static_cast<int64_t>(view.title().size());
}

int64_t pairs_an_epoch(const Dataset& dataset, const LoaderOptions& options) {
  return mixture_of(dataset, options).size();
}

}  // namespace capture
