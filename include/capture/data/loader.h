// Fills batches on worker threads, straight from the memory maps, in an order that neither their number nor their speed
// changes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "capture/base/fields.h"
#include "capture/data/batch.h"
#include "capture/data/dataset.h"
#include "capture/data/masking.h"

namespace capture {

class Tokenizer;
class Trace;

/// Changes of a pair that need no labels, drawn anew each epoch from streams of (seed, epoch, sample).
struct AugmentationOptions {
  bool draw_view = false;    ///< any of the views that are stored of the photo, instead of the first
  bool draw_title = false;   ///< any of the stored titles, instead of the first
  int64_t draw_regions = 0;  ///< this many regions, any of those there are, in their order; 0: all of them

  void visit(FieldVisitor& f);
};

struct LoaderOptions {
  int64_t batch_size = 64;            ///< pairs a batch on each rank
  int64_t workers = 2;                ///< threads; 0: batches are filled inside next()
  int64_t prefetch = 4;               ///< batches filled ahead of next(), those being filled included
  int64_t prefetch_megabytes = 4096;  ///< the most memory for them (MiB); at least one batch is filled ahead
  int64_t max_tokens = 36;            ///< [CLS] and [SEP] included; longer titles lose their end
  int64_t max_regions = 0;            ///< the first ones of a sample are kept; 0: as many as the dataset has
  bool shuffle = true;
  bool drop_last = false;            ///< leave out an epoch's last, smaller batch, and what does not divide among ranks
  int64_t bucket_batches = 1;        ///< every window of this many batches is sorted by title length; 1: none is
  std::vector<double> weights = {};  ///< how often an epoch shows the pairs of each of the dataset's parts; empty: once
  bool half_features = false;        ///< hand float16 features over as they are stored; see PairBatch
  int64_t seed = 42;                 ///< of order, masks and augmentation
  AugmentationOptions augmentation = {};  ///< for training alone

  void visit(FieldVisitor& f);
};

/// Where a loader starts, how far it goes, and whose share it reads.
struct LoaderPlan {
  int64_t first_epoch = 0;
  int64_t first_batch = 0;  ///< of the first epoch: how many batches to skip. At most batches_per_epoch()
  int64_t epochs = 1;       ///< counted from first_epoch
  int64_t rank = 0;
  int64_t world_size = 1;
  bool pin_memory = false;  ///< page-locked memory, for copies to a GPU that nobody waits for; needs a GPU
  bool packed = false;      ///< fill Batch::packed instead of Batch::inputs
  Trace* trace = nullptr;   ///< told what each thread does when; must outlive the loader
};

/// Batches in order, epoch after epoch. A batch depends on the dataset, the options, the plan's rank and its own
/// (epoch, index) alone: a loader started there gives the same bytes.
///
/// A batch's memory is filled again once its tensors are released, so a caller that keeps few batches costs no
/// allocation a step. The dataset and the tokenizer must outlive the loader. next() is for one thread.
class Loader {
 public:
  /// Masked when `masking` is given, as training needs it; without it, as embedding does. UserError when the dataset is
  /// smaller than one batch per rank under drop_last, the weights do not fit its parts, or the plan starts past the end
  /// of an epoch.
  Loader(const Dataset& dataset, const Tokenizer& tokenizer, const LoaderOptions& options,
         std::optional<MaskingOptions> masking = {}, LoaderPlan plan = {});
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// Batches of each epoch on this rank.
  int64_t batches_per_epoch() const;

  /// The next batch, or nothing after the plan's last. What a worker threw is thrown here, in its batch's turn.
  std::optional<Batch> next();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Pairs that an epoch shows over all ranks together: the dataset's size, unless options.weights say otherwise.
/// UserError when the weights do not fit the dataset's parts.
int64_t pairs_an_epoch(const Dataset& dataset, const LoaderOptions& options);

}  // namespace capture
