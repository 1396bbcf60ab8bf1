#include "capture/data/loader.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "batch_filler.h"
#include "capture/base/error.h"
#include "capture/data/sampler.h"
#include "draft.h"

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
  f.field("max_tokens", max_tokens, "Longest title in tokens, [CLS] and [SEP] included.", {2, 4096});
  f.field("max_regions", max_regions, "Most regions a pair; 0: as many as the data have.", {0, 4096});
  f.field("shuffle", shuffle, "Whether each epoch has an order of its own.");
  f.field("drop_last", drop_last, "Whether to leave out an epoch's last, smaller batch.");
  f.field("seed", seed, "Seed of order, masks and augmentation.", {0, int64_t{1} << 62});
  f.section("augmentation", augmentation, "Label-free changes of a training pair, drawn anew each epoch.");
}

struct Loader::Impl {
  /// A filled batch, or what went wrong with it.
  struct Slot {
    std::optional<Batch> batch;
    std::exception_ptr failure;
    bool ready = false;
  };

  Impl(const Dataset& dataset, const Tokenizer& tokenizer, const LoaderOptions& options_given,
       const std::optional<MaskingOptions>& masking_given, LoaderPlan plan_given)
      : options(options_given),
        plan(plan_given),
        sampler(dataset.size(), static_cast<uint64_t>(options.seed), options.shuffle, plan.rank, plan.world_size,
                options.drop_last ? Remainder::drop : Remainder::wrap),
        per_epoch((sampler.size() + (options.drop_last ? 0 : options.batch_size - 1)) / options.batch_size),
        batches(plan.epochs * per_epoch - plan.first_batch),
        drafter(dataset, tokenizer, options, masking_given),
        pools(plan.pin_memory),
        filler(drafter, dataset.feature_width(), dataset.class_count(), tokenizer.specials().pad,
               masking_given.has_value(), plan.pin_memory, pools),
        slots(static_cast<size_t>(options.prefetch)) {
    if (per_epoch == 0) {
      throw UserError({.what = "the dataset has " + std::to_string(dataset.size()) +
                               " samples, not enough for one batch of " + std::to_string(options.batch_size) +
                               " on each of " + std::to_string(plan.world_size) + " ranks",
                       .where = dataset.shards().front().path().string(),
                       .hint = "use a smaller batch_size, or drop_last = false"});
    }
    if (plan.first_batch > per_epoch) {
      throw UserError({.what = "the run would go on at batch " + std::to_string(plan.first_batch) + " of an epoch of " +
                               std::to_string(per_epoch),
                       .where = dataset.shards().front().path().string(),
                       .hint = "go on with the data and the batch size that the run began with"});
    }
  }

  Batch fill(int64_t number, BatchFiller& with) const {
    const int64_t epoch = plan.first_epoch + (plan.first_batch + number) / per_epoch;
    const int64_t index = (plan.first_batch + number) % per_epoch;
    const int64_t start = index * options.batch_size;
    const int64_t end = std::min(start + options.batch_size, sampler.size());
    std::vector<int64_t> samples;
    for (int64_t position = start; position < end; ++position) {
      samples.push_back(sampler.at(static_cast<uint64_t>(epoch), position));
    }
    Batch batch = with.fill(std::move(samples), epoch);
    batch.index = index;
    return batch;
  }

  void start_workers() {
    for (int64_t i = 0; i < std::min(options.workers, batches); ++i) {
      workers.emplace_back([this](const std::stop_token& stop) { work(stop); });
    }
  }

  void work(const std::stop_token& stop) {
    BatchFiller own = filler;
    std::unique_lock lock(mutex);
    for (;;) {
      const auto room = [&] { return started < std::min(batches, delivered + options.prefetch); };
      if (!changed.wait(lock, stop, room)) return;
      const int64_t number = started++;
      lock.unlock();
      Slot filled;
      try {
        filled.batch = fill(number, own);
      } catch (...) {
        filled.failure = std::current_exception();
      }
      filled.ready = true;
      lock.lock();
      slots[static_cast<size_t>(number % options.prefetch)] = std::move(filled);
      changed.notify_all();
    }
  }

  std::optional<Batch> next() {
    if (delivered == batches) return std::nullopt;
    if (workers.empty()) return fill(delivered++, filler);
    std::unique_lock lock(mutex);
    Slot& slot = slots[static_cast<size_t>(delivered % options.prefetch)];
    changed.wait(lock, [&] { return slot.ready; });
    Slot taken = std::exchange(slot, {});
    ++delivered;
    changed.notify_all();
    if (taken.failure) std::rethrow_exception(taken.failure);
    return std::move(taken.batch);
  }

  LoaderOptions options;
  LoaderPlan plan;
  Sampler sampler;
  int64_t per_epoch;
  int64_t batches;  // from the plan's start to its end
  Drafter drafter;
  FeaturePools pools;
  BatchFiller filler;

  std::mutex mutex;
  std::condition_variable_any changed;
  std::vector<Slot> slots;  // batch n waits in slot n % prefetch
  int64_t started = 0;      // batches that a worker has taken up
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
  return impl_->per_epoch;
}

std::optional<Batch> Loader::next() {
  return impl_->next();
}

}  // namespace capture
