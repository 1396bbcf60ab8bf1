// The forms in which a loader hands over the same pairs: padded or packed, widened or in float16, cached or not.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "capture/base/json.h"
#include "capture/base/trace.h"
#include "loading.h"

namespace capture {
namespace {

class LoaderForm : public LoadingTest {
 protected:
  static constexpr MaskingOptions kMasking{
      .token_probability = 0.4, .region_probability = 0.4, .region_zero_share = 0.6};
};

TEST_F(LoaderForm, PacksWhatItWouldPad) {
  const LoaderOptions options{.batch_size = 4, .max_tokens = 20};
  const auto expected = load(options, kMasking, {.epochs = 2});
  const auto packed = load(options, kMasking, {.epochs = 2, .packed = true});
  ASSERT_EQ(packed.size(), expected.size());
  for (size_t i = 0; i < packed.size(); ++i) {
    ASSERT_TRUE(packed[i].packed.has_value());
    EXPECT_FALSE(packed[i].inputs.token_ids.defined());
    const PackedBatch& batch = *packed[i].packed;
    const auto pairs = static_cast<int64_t>(packed[i].samples.size());
    EXPECT_EQ(batch.size(), pairs);
    EXPECT_EQ(batch.text_starts.dtype(), at::kInt);
    EXPECT_EQ(batch.text_starts[pairs].item<int32_t>(), batch.token_ids.size(0));
    EXPECT_EQ(batch.region_starts[pairs].item<int32_t>(), batch.region_features.size(0));
    EXPECT_EQ(batch.token_ids.size(0), expected[i].inputs.text_mask.sum().item<int64_t>());
    EXPECT_EQ(batch.region_features.size(0), expected[i].inputs.region_mask.sum().item<int64_t>());
    Batch again = packed[i];
    again.inputs = padded(batch, letters.specials().pad);
    again.targets = padded(packed[i].targets, batch);
    expect_equal(again, expected[i]);
  }
}

TEST_F(LoaderForm, HandsHalvesOverToBeWidenedOnTheDevice) {
  for (const bool packed : {false, true}) {
    const LoaderOptions options{.batch_size = 4};
    LoaderOptions half = options;
    half.half_features = true;
    const auto expected = load(options, kMasking);
    const auto halves = load(half, kMasking, {.packed = packed});
    ASSERT_EQ(halves.size(), expected.size());
    for (size_t i = 0; i < halves.size(); ++i) {
      EXPECT_EQ(halves[i].targets.region_features.dtype(), at::kHalf);
      Batch batch = halves[i];
      if (packed) {
        EXPECT_EQ(batch.packed->region_features.dtype(), at::kHalf);
        batch.inputs = padded(to(*batch.packed, at::kCPU), letters.specials().pad);
        batch.targets = padded(to(batch.targets, at::kCPU), *batch.packed);
      } else {
        EXPECT_EQ(batch.inputs.region_features.dtype(), at::kHalf);
        batch.inputs = to(batch.inputs, at::kCPU);
        batch.targets = to(batch.targets, at::kCPU);
      }
      // The mean is the same up to the order of its additions, everything else to the bit.
      at::Tensor global = batch.inputs.region_features.select(1, 0);
      const at::Tensor expected_global = expected[i].inputs.region_features.select(1, 0);
      EXPECT_TRUE(at::allclose(global, expected_global, 1e-5, 1e-6));
      global.copy_(expected_global);
      expect_equal(batch, expected[i]);
    }
  }
}

TEST_F(LoaderForm, WidensItselfWhatIsNotStoredInHalves) {
  layout = small_layout(FeatureType::float32);
  write_samples(folder / "b.capshard", layout, kSamples - 15, 15);
  dataset.emplace(folder.path());
  const auto batches = load({.half_features = true});
  EXPECT_EQ(batches[0].inputs.region_features.dtype(), at::kFloat);
}

TEST_F(LoaderForm, TakesStoredTokenIdsOfTheSameTokenizerAlone) {
  // The stored ids are a title's bytes, so that they can be told from the tokenizer's.
  const ShardLayout stored = layout_with_ids();
  write_samples(folder / "a.capshard", stored, 15);
  write_samples(folder / "b.capshard", stored, kSamples - 15, 15);
  dataset.emplace(folder.path());
  struct OtherLetters final : Letters {
    std::string fingerprint() const override { return "others"; }
  };
  const OtherLetters others;
  const auto first_ids = [&](const Tokenizer& tokenizer, int64_t bucket) {
    capture::Loader loader(*dataset, tokenizer, {.batch_size = kSamples, .max_tokens = 20, .bucket_batches = bucket});
    const auto batch = loader.next();
    int64_t equal = 0;
    for (size_t b = 0; b < batch->samples.size(); ++b) {
      const std::string title = make_sample(stored, batch->samples[b]).titles[0].substr(0, 18);
      const at::Tensor row = batch->inputs.token_ids[static_cast<int64_t>(b)];
      const at::Tensor mask = batch->inputs.text_mask[static_cast<int64_t>(b)];
      EXPECT_EQ(mask.sum().item<int64_t>(), static_cast<int64_t>(title.size()) + 2);
      for (size_t i = 0; i < title.size(); ++i) {
        const auto id = row[static_cast<int64_t>(i) + 1].item<int64_t>();
        equal += id == static_cast<unsigned char>(title[i]) ? 1 : 0;
      }
    }
    return equal;
  };
  for (const int64_t bucket : {1, 2}) {
    EXPECT_GT(first_ids(letters, bucket), 0);
    EXPECT_EQ(first_ids(others, bucket), 0);
  }
}

/// Batches of more features than caches hold, and a width that the fast copy takes.
class LargeBatches : public LoadingTest {
 protected:
  static constexpr int64_t kWide = 10;

  void open(FeatureType type) {
    const ShardLayout wide{.feature_width = 4096, .max_regions = 30, .feature_type = type};
    std::filesystem::remove(folder / "a.capshard");
    write_samples(folder / "b.capshard", wide, kWide);
    dataset.emplace(folder.path());
  }
};

TEST_F(LargeBatches, HoldTheSameRowsAsSmallOnes) {
  for (const FeatureType type : {FeatureType::float16, FeatureType::float32}) {
    open(type);
    const MaskingOptions masking{.region_probability = 0.3, .region_zero_share = 0.5};
    const auto all = load({.batch_size = kWide, .shuffle = false}, masking);
    ASSERT_GT(all[0].inputs.region_features.nbytes(), size_t{4} << 20);
    const auto alone = load({.batch_size = 1, .shuffle = false}, masking);
    std::vector<at::Tensor> targets;
    for (int64_t b = 0; b < kWide; ++b) {
      const Batch& one = alone[static_cast<size_t>(b)];
      const int64_t regions = one.inputs.region_mask.size(1);
      EXPECT_TRUE(at::equal(all[0].inputs.region_features[b].slice(0, 0, regions), one.inputs.region_features[0]));
      targets.push_back(one.targets.region_features);
    }
    EXPECT_TRUE(at::equal(all[0].targets.region_features, at::cat(targets)));
  }
}

TEST_F(LargeBatches, AreFilledAheadWithinTheMemoryGiven) {
  open(FeatureType::float16);
  // A batch of 2 needs at most 2 × (1 + 30 + 30) × 4096 × 4 bytes, just under 2 MiB.
  for (const auto& [megabytes, ahead] : {std::pair{1, 1U}, {4, 2U}, {6, 3U}, {100, 5U}}) {
    const LoaderOptions options{.batch_size = 2, .workers = 3, .prefetch = 5, .prefetch_megabytes = megabytes};
    capture::Loader loader(*dataset, letters, options, MaskingOptions{}, {.epochs = 10});
    std::set<const void*> blocks;
    while (const auto batch = loader.next()) blocks.insert(batch->inputs.region_features.const_data_ptr());
    EXPECT_LE(blocks.size(), ahead + 1) << "those ahead, and the one in use";
  }
}

TEST_F(LoaderForm, TellsATraceWhatEachThreadDoes) {
  Trace trace;
  const auto batches = load({.batch_size = 4}, kMasking, {.trace = &trace});
  trace.write(folder / "trace.json");
  const Json events = read_json(folder / "trace.json").root.at("traceEvents");
  std::map<std::string, std::set<int64_t>> spans;
  std::set<std::string> threads;
  for (const Json& event : events) {
    if (event.at("ph") == "M") {
      threads.insert(event.at("args").at("name"));
    } else {
      spans[event.at("name")].insert(event.at("args").at("number").get<int64_t>());
      EXPECT_GE(event.at("dur").get<double>(), 0.0);
    }
  }
  for (const char* name : {"decode", "copy", "wait"}) EXPECT_EQ(spans[name].size(), batches.size()) << name;
  EXPECT_FALSE(spans["read ahead"].empty());
  EXPECT_EQ(threads, (std::set<std::string>{"loader 0", "loader 1"}));
}

}  // namespace
}  // namespace capture
