#include "capture/data/loader.h"

#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "batch_filler.h"
#include "capture/base/error.h"
#include "draft.h"
#include "epoch_order.h"

namespace capture {

void AugmentationOptions::visit(FieldVisitor& f) {
  f.field("draw_view", draw_view, "Draw one of the stored views of a photo each epoch, instead of taking the first.");
  f.field("draw_title", draw_title, "Draw one of the stored titles each epoch, instead of taking the first.");
  f.field("draw_regions", draw_regions, "Draw this many of a pair's regions each epoch; 0: all of them.", {0, 4096});
}

void LoaderOptions::visit(FieldVisitor& f) {
  f.field("batch_size", batch_size, "Pairs a batch on each rank.", {1, 65536});
  f.field("workers", workers, "Threads that fill batches; 0 fills them in the thread that asks.", {0, 256});
  f.field("prefetch", prefetch, "Batches filled ahead of the one that is asked for.", {1, 1024});
  f.field("prefetch_megabytes", prefetch_megabytes,
          "Most memory that the batches filled ahead may take; where it does not hold `prefetch` of them, fewer are "
          "filled, and always one.",
          {1, 1 << 20});
  f.field("max_tokens", max_tokens, "Longest title in tokens, [CLS] and [SEP] included.", {2, 4096});
  f.field("max_regions", max_regions, "Most regions a pair; 0: as many as the data have.", {0, 4096});
  f.field("shuffle", shuffle, "Whether each epoch has an order of its own.");
  f.field("drop_last", drop_last, "Whether to leave out an epoch's last, smaller batch.");
  f.field("bucket_batches", bucket_batches,
          "Sort every window of this many batches by title length, so that titles in a batch are about equally long "
          "and little of it is padding; 1: no sorting.",
          {1, 65536});
  f.field("weights", weights,
          "How often an epoch shows each pair of each dataset, one number a path of data.train: 0.5 shows every other "
          "one, 2 all of them twice. None: once.",
          {0.0, 1000.0});
  f.field(
      "half_features", half_features,
      "Hand features over in float16 where the shards hold float16, to be widened on the device: half the copy to a "
      "GPU. The global region's mean is then formed there, in another order.");
  f.field("seed", seed, "Seed of order, masks and augmentation.", {0, int64_t{1} << 62});
  f.section("augmentation", augmentation, "Label-free changes of a training pair, drawn anew each epoch.");
}

namespace {

/// Every shard holds float16, so that handing them on loses nothing.
bool holds_halves(const Dataset& dataset) {
  return std::ranges::all_of(
      dataset.shards(), [](const Shard& shard) { return shard.header().layout.feature_type == FeatureType::float16; });
}

BatchForm form_of(const Dataset& dataset, const Tokenizer& tokenizer, const LoaderOptions& options, bool masking,
                  const LoaderPlan& plan) {
  const int64_t regions =
      options.augmentation.draw_regions > 0 ? options.augmentation.draw_regions : options.max_regions;
  return {.batch_size = std::min(options.batch_size, pairs_an_epoch(dataset, options)),
          .max_regions = regions == 0 ? dataset.max_regions() : std::min(regions, dataset.max_regions()),
          .feature_width = dataset.feature_width(),
          .class_count = masking ? dataset.class_count() : 0,
          .pad_token = tokenizer.specials().pad,
          .packed = plan.packed,
          .half_features = options.half_features && holds_halves(dataset),
          .pin_memory = plan.pin_memory};
}

/// How many batches may stand filled or be filled at once.
int64_t depth_of(const LoaderOptions& options, const BatchForm& form) {
  const int64_t bytes = std::max<int64_t>(form.feature_bytes(), 1);
  return std::clamp<int64_t>((options.prefetch_megabytes << 20) / bytes, 1, options.prefetch);
}

}  // namespace

struct Loader::Impl {
  /// A filled batch, or what went wrong with it.
  struct Slot {
    std::optional<Batch> batch;
    std::exception_ptr failure;
    bool ready = false;
  };

  Impl(const Dataset& data, const Tokenizer& tokenizer, const LoaderOptions& options,
       const std::optional<MaskingOptions>& masking, LoaderPlan plan_given)
      : dataset(data),
        plan(plan_given),
        workers_wanted(options.workers),
        drafter(data, tokenizer, options, masking),
        form(form_of(data, tokenizer, options, masking.has_value(), plan)),
        pools(form),
        depth(depth_of(options, form)),
        order(data, options, plan, drafter.token_ids_stored()),
        filler(drafter, form, pools, plan.trace),
        slots(static_cast<size_t>(depth)) {
    if (plan.first_batch > order.batches()) {
      throw UserError({.what = "the run would go on at batch " + std::to_string(plan.first_batch) + " of an epoch of " +
                               std::to_string(order.batches()),
                       .where = data.shards().front().path().string(),
                       .hint = "go on with the data and the batch size that the run began with"});
    }
    batches = plan.epochs * order.batches() - plan.first_batch;
  }

  int64_t epoch_of(int64_t number) const { return plan.first_epoch + (plan.first_batch + number) / order.batches(); }
  int64_t index_of(int64_t number) const { return (plan.first_batch + number) % order.batches(); }

  Batch fill(int64_t number, EpochOrder& own_order, BatchFiller& own_filler) const {
    const int64_t epoch = epoch_of(number);
    const RankBatch& drawn = own_order.batch(epoch, index_of(number));
    Batch batch = own_filler.fill(drawn, epoch, number);
    batch.index = index_of(number);
    return batch;
  }

  /// Asks the kernel to read what these batches need, so that the disk is busy while earlier ones are filled.
  void read_ahead(int64_t first, int64_t end, EpochOrder& own_order) const {
    if (first == end) return;
    const TraceSpan span(plan.trace, "read ahead", first);
    try {
      for (int64_t number = first; number < end; ++number) {
        for (const SampleDraw drawn : own_order.batch(epoch_of(number), index_of(number)).draws)
          dataset.prefetch(drawn.sample);
      }
    } catch (const UserError&) {
      // A damaged record, met while titles were measured: the batch that needs it will name it in its turn.
    }
  }

  void start_workers() {
    // A thread begins on the first GPU. Whoever asks CUDA for memory there makes it set up some 500 MB on that GPU,
    // which may be another process's.
    std::optional<c10::Device> gpu;
    if (plan.pin_memory) gpu = c10::impl::VirtualGuardImpl(c10::kCUDA).getDevice();
    for (int64_t i = 0; i < std::min(workers_wanted, batches); ++i) {
      workers.emplace_back([this, i, gpu](const std::stop_token& stop) {
        const c10::OptionalDeviceGuard on_the_callers(gpu);
        if (plan.trace != nullptr) plan.trace->name_thread("loader " + std::to_string(i));
        work(stop);
      });
    }
  }

  void work(const std::stop_token& stop) {
    BatchFiller own_filler = filler;
    EpochOrder own_order = order;
    EpochOrder ahead_order = order;  // a window that was sorted stays sorted for its own batches
    std::unique_lock lock(mutex);
    for (;;) {
      const auto room = [&] { return started < std::min(batches, delivered + depth); };
      if (!changed.wait(lock, stop, room)) return;
      const int64_t number = started++;
      const int64_t read_until = std::min(batches, number + 1 + workers_wanted);
      const int64_t read_from = std::exchange(asked, std::max(asked, read_until));
      lock.unlock();
      Slot filled;
      try {
        read_ahead(std::min(read_from, read_until), read_until, ahead_order);
        filled.batch = fill(number, own_order, own_filler);
      } catch (...) {
        filled.failure = std::current_exception();
      }
      filled.ready = true;
      lock.lock();
      slots[static_cast<size_t>(number % depth)] = std::move(filled);
      changed.notify_all();
    }
  }

  std::optional<Batch> next() {
    if (delivered == batches) return std::nullopt;
    if (workers.empty()) {
      const int64_t number = delivered++;
      return fill(number, order, filler);
    }
    const TraceSpan span(plan.trace, "wait", delivered);
    std::unique_lock lock(mutex);
    Slot& slot = slots[static_cast<size_t>(delivered % depth)];
    changed.wait(lock, [&] { return slot.ready; });
    Slot taken = std::exchange(slot, {});
    ++delivered;
    changed.notify_all();
    if (taken.failure) std::rethrow_exception(taken.failure);
    return std::move(taken.batch);
  }

  const Dataset& dataset;
  LoaderPlan plan;
  int64_t workers_wanted;
  Drafter drafter;
  BatchForm form;
  FeaturePools pools;
  int64_t depth;
  EpochOrder order;
  BatchFiller filler;
  int64_t batches = 0;  // from the plan's start to its end

  std::mutex mutex;
  std::condition_variable_any changed;
  std::vector<Slot> slots;  // batch n waits in slot n % depth
  int64_t started = 0;      // batches that a worker has taken up
  int64_t asked = 0;        // batches whose samples the kernel was asked to read
  int64_t delivered = 0;
  std::vector<std::jthread> workers;  // last: they stop before what they use goes
};

Loader::Loader(const Dataset& dataset, const Tokenizer& tokenizer, const LoaderOptions& options,
               std::optional<MaskingOptions> masking, LoaderPlan plan)
    : impl_(std::make_unique<Impl>(dataset, tokenizer, options, masking, plan)) {
  impl_->start_workers();
}

Loader::~Loader() = default;

int64_t Loader::batches_per_epoch() const {
  return impl_->order.batches();
}

std::optional<Batch> Loader::next() {
  return impl_->next();
}

}  // namespace capture
