// What holds of the order of batches whatever the options: every sample its share of an epoch, ranks alike, any start.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "loading.h"

namespace capture {
namespace {

using ::testing::HasSubstr;

using Lists = std::vector<std::vector<int64_t>>;

class LoaderOrder : public LoadingTest {
 protected:
  Lists samples_of(LoaderOptions options, LoaderPlan plan, int64_t workers = 0) const {
    options.workers = workers;
    return samples_of(load(options, std::nullopt, plan));
  }

  static Lists samples_of(const std::vector<Batch>& batches) {
    Lists lists;
    for (const Batch& batch : batches) lists.push_back(batch.samples);
    return lists;
  }

  /// Two parts, of 15 and 8 samples.
  Dataset parts() const { return Dataset({folder / "a.capshard", folder / "b.capshard"}); }
};

/// Bucketing, dropping what is left over, and a weight for each of two parts.
class LoaderOrderOf : public LoaderOrder,
                      public ::testing::WithParamInterface<std::tuple<int64_t, bool, std::vector<double>>> {};

TEST_P(LoaderOrderOf, GivesRanksEqualSharesOfEverySampleAndStartsAnywhere) {
  const auto& [bucket, drop_last, weights] = GetParam();
  dataset.emplace(parts());
  const LoaderOptions options{
      .batch_size = 3, .workers = 0, .drop_last = drop_last, .bucket_batches = bucket, .weights = weights};
  const int64_t pairs = pairs_an_epoch(*dataset, options);
  for (int64_t world = 1; world <= 64; ++world) {
    const int64_t share = drop_last ? pairs / world / 3 * 3 : (pairs + world - 1) / world;
    if (share == 0) continue;
    for (const int64_t epoch : {0, 3}) {
      std::map<int64_t, int64_t> seen;
      int64_t counted = 0;
      for (int64_t rank = 0; rank < world; ++rank) {
        const LoaderPlan plan{.first_epoch = epoch, .rank = rank, .world_size = world};
        const auto batches = load(options, std::nullopt, plan);
        const Lists lists = samples_of(batches);
        int64_t count = 0;
        for (const Batch& batch : batches) {
          const auto size = static_cast<int64_t>(batch.samples.size());
          count += size;
          const int64_t own = (batch.pairs + world - 1 - rank) / world;
          counted += own;
          for (int64_t i = 0; i < own; ++i) ++seen[batch.samples[static_cast<size_t>(i)]];
        }
        ASSERT_EQ(count, share) << world;
        ASSERT_EQ(static_cast<int64_t>(lists.size()), (share + 2) / 3);
        for (size_t i = 0; i + 1 < lists.size(); ++i) ASSERT_EQ(lists[i].size(), 3U);

        LoaderPlan later = plan;
        later.first_batch = (rank + epoch) % static_cast<int64_t>(lists.size());
        ASSERT_EQ(samples_of(options, later), Lists(lists.begin() + later.first_batch, lists.end()));
        if (rank % 16 == 0) {
          ASSERT_EQ(samples_of(options, plan, 3), lists);
        }
      }
      // What makes shares even does not count; dropping leaves the rest out.
      ASSERT_EQ(counted, drop_last ? share * world : pairs);
      if (!weights.empty()) continue;
      ASSERT_EQ(static_cast<int64_t>(seen.size()), counted);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Options, LoaderOrderOf,
                         ::testing::Combine(::testing::Values(1, 2, 5), ::testing::Bool(),
                                            ::testing::Values(std::vector<double>{}, std::vector<double>{2, 0.5})));

TEST_F(LoaderOrder, PredictsNothingOfAStandIn) {
  const MaskingOptions all{.token_probability = 1, .region_probability = 1};
  for (const int64_t bucket : {1, 2}) {
    const LoaderOptions options{.batch_size = 3, .bucket_batches = bucket};
    for (const int64_t rank : {2, 3}) {  // 23 samples for 4 ranks: the last is short of one
      int64_t stand_ins = 0;
      for (const Batch& batch : load(options, all, {.rank = rank, .world_size = 4})) {
        const auto last = static_cast<int64_t>(batch.samples.size()) - 1;
        const bool predicted = (batch.targets.token_rows >= last * batch.inputs.token_ids.size(1)).any().item<bool>();
        EXPECT_EQ(predicted, (batch.targets.region_rows >= last * batch.inputs.region_mask.size(1)).any().item<bool>());
        EXPECT_EQ(predicted, last * 4 + rank < batch.pairs);
        stand_ins += predicted ? 0 : 1;
      }
      EXPECT_EQ(stand_ins, rank == 3 ? 1 : 0);
    }
  }
}

TEST_F(LoaderOrder, MakesEachStepOfTheSamePairsOnAnyNumberOfRanks) {
  constexpr int64_t kStep = 6;  // 23 samples: the last step has 5, and none to spare for 2, 3 and 6 ranks
  for (const int64_t bucket : {1, 2, 3, 100}) {
    for (const bool drop_last : {false, true}) {
      const auto steps = [&](int64_t world) {
        const LoaderOptions options{.batch_size = kStep / world, .drop_last = drop_last, .bucket_batches = bucket};
        std::vector<std::multiset<int64_t>> samples;
        for (int64_t rank = 0; rank < world; ++rank) {
          const auto batches = load(options, std::nullopt, {.epochs = 3, .rank = rank, .world_size = world});
          samples.resize(batches.size());
          for (size_t step = 0; step < batches.size(); ++step) {
            const int64_t own = (batches[step].pairs + world - 1 - rank) / world;
            for (int64_t i = 0; i < own; ++i) samples[step].insert(batches[step].samples[static_cast<size_t>(i)]);
          }
        }
        return samples;
      };
      for (const int64_t world : {2, 3, 6}) {
        EXPECT_EQ(steps(world), steps(1)) << bucket << " batches a window, " << world << " ranks, " << drop_last;
      }
    }
  }
}

TEST_F(LoaderOrder, BucketsTitlesOfAboutOneLength) {
  const auto padding = [&](int64_t bucket, bool shuffle) {
    int64_t empty = 0;
    const LoaderOptions options{.batch_size = 3, .shuffle = shuffle, .bucket_batches = bucket};
    for (const Batch& batch : load(options, std::nullopt, {.epochs = 4})) {
      empty += batch.inputs.text_mask.logical_not().sum().item<int64_t>();
    }
    return empty;
  };
  EXPECT_LT(padding(4, true) * 2, padding(1, true));
  // One window over the whole epoch leaves the least that sorting can leave.
  EXPECT_LE(padding(100, true), padding(4, true));
  EXPECT_EQ(padding(100, true), padding(100, false));
}

TEST_F(LoaderOrder, MixesTheBucketsOfAWindow) {
  const LoaderOptions options{.batch_size = 3, .bucket_batches = 8};
  int64_t rising = 0;
  for (int64_t epoch = 0; epoch < 20; ++epoch) {
    std::vector<int64_t> widths;
    for (const Batch& batch : load(options, std::nullopt, {.first_epoch = epoch})) {
      widths.push_back(batch.inputs.text_mask.size(1));
    }
    rising += std::ranges::is_sorted(widths) ? 1 : 0;
    EXPECT_EQ(widths.size(), 8U);
  }
  EXPECT_LT(rising, 3);
}

TEST_F(LoaderOrder, ShowsEachDatasetAsOftenAsItsWeight) {
  dataset.emplace(parts());
  const LoaderOptions options{.batch_size = 4, .weights = {0.4, 3}};
  EXPECT_EQ(pairs_an_epoch(*dataset, options), 6 + 24);
  std::set<int64_t> shown;
  std::set<std::vector<int64_t>> choices;
  for (int64_t epoch = 0; epoch < 30; ++epoch) {
    std::map<int64_t, int64_t> times;
    for (const auto& list : samples_of(options, {.first_epoch = epoch})) {
      for (const int64_t sample : list) ++times[sample];
    }
    std::vector<int64_t> drawn;
    for (const auto& [sample, count] : times) {
      EXPECT_EQ(count, sample < 15 ? 1 : 3);
      if (sample < 15) drawn.push_back(sample);
    }
    EXPECT_EQ(drawn.size(), 6U);
    EXPECT_EQ(times.size(), 6U + 8U);
    shown.insert(drawn.begin(), drawn.end());
    choices.insert(drawn);
  }
  EXPECT_EQ(shown.size(), 15U) << "over the epochs every sample has its turn";
  EXPECT_GT(choices.size(), 20U) << "and each epoch draws anew";
}

TEST_F(LoaderOrder, MasksEachShowingOfASampleDifferently) {
  const LoaderOptions options{.batch_size = kSamples, .max_tokens = 40, .shuffle = false, .weights = {3}};
  const auto batches = load(options, MaskingOptions{.token_probability = 0.5});
  ASSERT_EQ(batches.size(), 3U);
  EXPECT_EQ(batches[0].samples, batches[1].samples);
  EXPECT_FALSE(at::equal(batches[0].inputs.token_ids, batches[1].inputs.token_ids));
  EXPECT_FALSE(at::equal(batches[1].inputs.token_ids, batches[2].inputs.token_ids));
  LoaderOptions once = options;
  once.weights = {};
  expect_equal(batches[0], load(once, MaskingOptions{.token_probability = 0.5})[0]);
}

TEST_F(LoaderOrder, RefusesWeightsThatDoNotFit) {
  EXPECT_THAT(error_of([&] {
                load({.weights = {1, 2}});
              }),
              HasSubstr("loader.weights has 2 numbers for 1 path of data.train"));
  EXPECT_THAT(error_of([&] { load({.weights = {0}}); }), HasSubstr("leave nothing to show"));
}

}  // namespace
}  // namespace capture
