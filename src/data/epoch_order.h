// Which samples make which batch.
#pragma once

#include <cstdint>
#include <vector>

#include "capture/data/dataset.h"
#include "capture/data/loader.h"
#include "capture/data/sampler.h"

namespace capture {

/// One rank's part of a batch.
struct RankBatch {
  std::vector<SampleDraw> draws;
  int64_t pairs = 0;       ///< that count, on all ranks together: see Batch::pairs
  bool stands_in = false;  ///< the last draw does, for want of another
};

/// The batches of each epoch on one rank, a pure function of (epoch, index): the sampler's order, cut into batches; or,
/// with bucket_batches, every window of that many batches of all ranks together sorted by title length first, so that
/// titles of about one length share a batch. Each thread has its own.
class EpochOrder {
 public:
  /// UserError when the weights do not fit the dataset, or leave nothing or not one batch a rank to show. `token_ids`:
  /// the dataset stores those that titles are to have, and so tells their lengths in tokens; otherwise their bytes do.
  EpochOrder(const Dataset& dataset, const LoaderOptions& options, const LoaderPlan& plan, bool token_ids);

  int64_t batches() const { return batches_; }  ///< of each epoch

  /// 0 <= index < batches().
  const RankBatch& batch(int64_t epoch, int64_t index);

 private:
  SampleDraw at_place(int64_t epoch, int64_t place) const;
  bool stands_in(int64_t place) const { return place >= mixture_.size(); }
  void sort_window(int64_t epoch, int64_t window);
  int64_t title_length(int64_t sample) const;

  const Dataset& dataset_;
  int64_t batch_size_;
  int64_t window_batches_;
  bool shuffle_;
  bool token_ids_;
  uint64_t seed_;
  Mixture mixture_;
  Sampler sampler_;
  int64_t batches_;
  int64_t positions_;  // of an epoch of one rank that stand in a batch
  int64_t rank_;
  int64_t world_size_;
  int64_t stand_ins_;  // ranks, the last ones, whose share of an epoch ends with one
  RankBatch batch_;

  // The window that was sorted last; batches come in order, so the next one is usually in it too.
  int64_t window_epoch_ = -1;
  int64_t window_ = -1;
  std::vector<SampleDraw> sorted_;  // this rank's
  std::vector<int64_t> starts_;     // of its batches in sorted_, then the end
};

}  // namespace capture
