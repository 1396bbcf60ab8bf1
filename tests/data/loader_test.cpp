// The loader: the right numbers in the right rows, in an order that nothing but the plan decides.
#include "capture/data/loader.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <set>

#include "capture/tensor/device.h"
#include "loading.h"

namespace capture {
namespace {

using ::testing::HasSubstr;

class Loader : public LoadingTest {};

TEST_F(Loader, FillsRowsWithWhatIsStored) {
  const auto batches = load({.batch_size = 4, .max_tokens = 20, .shuffle = false}, std::nullopt);
  ASSERT_EQ(batches.size(), 6U);
  int64_t next = 0;
  for (const Batch& batch : batches) {
    const PairBatch& inputs = batch.inputs;
    EXPECT_EQ(inputs.token_ids.dtype(), at::kLong);
    EXPECT_EQ(inputs.region_features.dtype(), at::kFloat);
    EXPECT_EQ(batch.targets.token_rows.size(0), 0);
    EXPECT_EQ(batch.targets.region_features.sizes(), at::IntArrayRef({0, layout.feature_width}));
    int64_t longest = 0;
    int64_t most = 0;
    for (int64_t b = 0; b < batch.inputs.size(); ++b, ++next) {
      ASSERT_EQ(batch.samples[static_cast<size_t>(b)], next);
      const Sample expected = make_sample(layout, next);
      const Regions& regions = expected.views[0];

      std::vector<int64_t> ids = {2};
      for (const char letter : expected.titles[0].substr(0, 18)) ids.push_back(5 + letter);
      ids.push_back(3);
      const auto tokens = static_cast<int64_t>(ids.size());
      longest = std::max(longest, tokens);
      most = std::max(most, regions.count());
      EXPECT_TRUE(at::equal(inputs.token_ids[b].narrow(0, 0, tokens), at::tensor(ids)));
      EXPECT_EQ(inputs.text_mask[b].sum().item<int64_t>(), tokens);
      EXPECT_EQ(inputs.token_ids[b].slice(0, tokens).sum().item<int64_t>(), 0);
      EXPECT_TRUE(inputs.text_mask[b].narrow(0, 0, tokens).all().item<bool>());

      const at::Tensor features = at::tensor(regions.features).view({regions.count(), layout.feature_width});
      const at::Tensor boxes = at::tensor(regions.boxes).view({regions.count(), 4});
      EXPECT_TRUE(at::equal(inputs.region_features[b].slice(0, 1, 1 + regions.count()), features));
      EXPECT_TRUE(at::allclose(inputs.region_features[b][0], features.mean(0)));
      EXPECT_EQ(inputs.region_features[b].slice(0, 1 + regions.count()).abs().sum().item<float>(), 0.0F);
      EXPECT_EQ(inputs.region_mask[b].sum().item<int64_t>(), 1 + regions.count());
      EXPECT_TRUE(inputs.region_mask[b].slice(0, 0, 1 + regions.count()).all().item<bool>());

      const auto w = static_cast<float>(regions.image_width);
      const auto h = static_cast<float>(regions.image_height);
      const at::Tensor area = (boxes.select(1, 2) - boxes.select(1, 0)) * (boxes.select(1, 3) - boxes.select(1, 1));
      const at::Tensor places = at::cat({boxes / at::tensor({w, h, w, h}), (area / (w * h)).unsqueeze(1)}, 1);
      EXPECT_TRUE(at::allclose(inputs.region_locations[b].slice(0, 1, 1 + regions.count()), places));
      EXPECT_TRUE(at::equal(inputs.region_locations[b][0], at::tensor({0.0F, 0.0F, 1.0F, 1.0F, 1.0F})));
      EXPECT_EQ(inputs.region_locations[b].slice(0, 1 + regions.count()).abs().sum().item<float>(), 0.0F);
    }
    EXPECT_EQ(inputs.token_ids.size(1), longest);
    EXPECT_EQ(inputs.region_mask.size(1), 1 + most);
    EXPECT_EQ(inputs.text_padded, !inputs.text_mask.all().item<bool>());
    EXPECT_EQ(inputs.regions_padded, !inputs.region_mask.all().item<bool>());
  }
  EXPECT_EQ(next, kSamples);
}

TEST_F(Loader, GivesTheNumbersItAlwaysGave) {
  // Over versions of this code too: a checkpoint goes on with what its run would have seen.
  const LoaderOptions options{
      .batch_size = 4, .max_tokens = 20, .augmentation = {.draw_view = true, .draw_title = true, .draw_regions = 3}};
  std::string bytes;
  for (const Batch& batch :
       load(options, MaskingOptions{.token_probability = 0.5, .region_probability = 0.5}, {.epochs = 2})) {
    for (const at::Tensor& tensor : tensors_of(batch)) {
      bytes.append(static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes());
    }
  }
  EXPECT_EQ(to_hex(checksum(bytes)), "d785ad9560005f35");
}

TEST_F(Loader, KeepsTheFirstRegionsWhenThereAreTooMany) {
  const auto batches = load({.batch_size = kSamples, .max_regions = 2, .shuffle = false}, std::nullopt);
  ASSERT_EQ(batches.size(), 1U);
  EXPECT_EQ(batches[0].inputs.region_mask.size(1), 3);
  for (int64_t b = 0; b < kSamples; ++b) {
    const Regions regions = make_sample(layout, b).views[0];
    const int64_t kept = std::min<int64_t>(2, regions.count());
    const at::Tensor features = at::tensor(regions.features).view({regions.count(), layout.feature_width});
    EXPECT_TRUE(at::allclose(batches[0].inputs.region_features[b][0], features.slice(0, 0, kept).mean(0)));
  }
}

TEST_F(Loader, MasksWhatTheTargetsSay) {
  const MaskingOptions masking{.token_probability = 0.5, .region_probability = 0.5, .region_zero_share = 0.5};
  const LoaderOptions options{.batch_size = 5, .shuffle = false};
  const auto plain = load(options, std::nullopt);
  const auto masked = load(options, masking);
  ASSERT_EQ(plain.size(), masked.size());
  int64_t zeroed = 0;
  int64_t kept = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    const PairBatch& before = plain[i].inputs;
    const PairBatch& after = masked[i].inputs;
    const MaskedTargets& targets = masked[i].targets;
    ASSERT_EQ(before.token_ids.sizes(), after.token_ids.sizes());
    EXPECT_TRUE(at::equal(before.token_ids.flatten().index_select(0, targets.token_rows), targets.token_ids));
    // Putting the targets back gives the unmasked batch: nothing else was touched.
    EXPECT_TRUE(at::equal(after.token_ids.flatten().index_copy(0, targets.token_rows, targets.token_ids),
                          before.token_ids.flatten()));

    const int64_t width = layout.feature_width;
    const at::Tensor rows_before = before.region_features.view({-1, width});
    const at::Tensor rows_after = after.region_features.view({-1, width});
    EXPECT_TRUE(at::equal(rows_before.index_select(0, targets.region_rows), targets.region_features));
    const at::Tensor restored = rows_after.index_copy(0, targets.region_rows, targets.region_features);
    EXPECT_TRUE(at::equal(restored.view_as(after.region_features).slice(1, 1), before.region_features.slice(1, 1)));
    EXPECT_TRUE(at::equal(before.region_mask, after.region_mask));

    // The global region is the plain mean of what the mask left, zeroed regions counted.
    const at::Tensor counts = before.region_mask.slice(1, 1).sum(1, true).to(at::kFloat);
    EXPECT_TRUE(at::allclose(after.region_features.select(1, 0), after.region_features.slice(1, 1).sum(1) / counts));

    for (int64_t k = 0; k < targets.region_rows.size(0); ++k) {
      const auto row = targets.region_rows[k].item<int64_t>();
      EXPECT_NE(row % before.region_mask.size(1), 0) << "the global region is never predicted";
      (rows_after[row].abs().sum().item<float>() == 0 ? zeroed : kept) += 1;
    }
  }
  EXPECT_GT(zeroed, 10);
  EXPECT_GT(kept, 10);
}

TEST_F(Loader, GivesTheClassesOfMaskedRegions) {
  const auto batches = load({.batch_size = kSamples, .shuffle = false}, MaskingOptions{.region_probability = 1.0});
  const at::Tensor classes = batches[0].targets.region_classes;
  int64_t row = 0;
  for (int64_t b = 0; b < kSamples; ++b) {
    const Regions regions = make_sample(layout, b).views[0];
    const at::Tensor expected = at::tensor(regions.classes).view({regions.count(), layout.class_count});
    EXPECT_TRUE(at::equal(classes.slice(0, row, row + regions.count()), expected));
    row += regions.count();
  }
  EXPECT_EQ(row, classes.size(0));
}

/// What a sample's row looks like, wherever it stands.
std::map<int64_t, std::vector<at::Tensor>> rows_by_sample(const std::vector<Batch>& batches) {
  std::map<int64_t, std::vector<at::Tensor>> rows;
  for (const Batch& batch : batches) {
    for (int64_t b = 0; b < batch.inputs.size(); ++b) {
      const auto& in = batch.inputs;
      rows[batch.samples[static_cast<size_t>(b)]] = {
          in.token_ids[b].masked_select(in.text_mask[b]),
          in.region_features[b].index_select(0, in.region_mask[b].nonzero().squeeze(1))};
    }
  }
  return rows;
}

TEST_F(Loader, DrawsMasksBySampleAndEpochAlone) {
  const MaskingOptions masking{.token_probability = 0.5, .region_probability = 0.5};
  const auto expected = rows_by_sample(load({.batch_size = 4}, masking));
  const auto same = [&](const std::map<int64_t, std::vector<at::Tensor>>& rows) {
    size_t equal = 0;
    for (const auto& [sample, row] : rows) {
      const auto& other = expected.at(sample);
      equal += at::equal(row[0], other[0]) && at::equal(row[1], other[1]) ? 1 : 0;
    }
    return equal;
  };
  EXPECT_EQ(same(rows_by_sample(load({.batch_size = 7, .workers = 1, .shuffle = false}, masking))), kSamples);
  std::map<int64_t, std::vector<at::Tensor>> ranks;
  for (int64_t rank = 0; rank < 3; ++rank) {
    ranks.merge(rows_by_sample(load({.batch_size = 2}, masking, {.rank = rank, .world_size = 3})));
  }
  EXPECT_EQ(same(ranks), kSamples);
  EXPECT_LT(same(rows_by_sample(load({.batch_size = 4}, masking, {.first_epoch = 1}))), kSamples / 2);
  EXPECT_LT(same(rows_by_sample(load({.batch_size = 4, .seed = 43}, masking))), kSamples / 2);
}

TEST_F(Loader, DrawsAViewAndATitleEachEpochOnRequest) {
  const LoaderOptions options{.batch_size = kSamples,
                              .max_tokens = 100,
                              .shuffle = false,
                              .augmentation = {.draw_view = true, .draw_title = true}};
  const auto batches = load(options, std::nullopt, {.epochs = 12});
  ASSERT_EQ(batches.size(), 12U);
  for (int64_t b = 0; b < kSamples; ++b) {
    const Sample sample = make_sample(layout, b);
    std::map<size_t, int64_t> views;
    std::map<std::string, int64_t> titles;
    for (const Batch& batch : batches) {
      const at::Tensor ids = batch.inputs.token_ids[b].to(at::kInt).contiguous();
      const auto tokens = static_cast<size_t>(batch.inputs.text_mask[b].sum().item<int64_t>());
      ++titles[letters.decode({ids.const_data_ptr<int32_t>(), tokens})];
      for (size_t v = 0; v < sample.views.size(); ++v) {
        const Regions& regions = sample.views[v];
        const at::Tensor features = at::tensor(regions.features).view({regions.count(), layout.feature_width});
        const bool fits = batch.inputs.region_mask[b].sum().item<int64_t>() == 1 + regions.count();
        if (fits && at::equal(batch.inputs.region_features[b].slice(0, 1, 1 + regions.count()), features)) ++views[v];
      }
    }
    EXPECT_EQ(views.size(), sample.views.size()) << b;
    EXPECT_EQ(titles.size(), sample.titles.size()) << b;
    for (const std::string& title : sample.titles) EXPECT_GT(titles[title], 0) << b;
  }
}

TEST_F(Loader, DrawsRegionsEachEpochOnRequest) {
  const LoaderOptions options{.batch_size = kSamples, .shuffle = false, .augmentation = {.draw_regions = 2}};
  const auto batches = load(options, std::nullopt, {.epochs = 12});
  for (int64_t b = 0; b < kSamples; ++b) {
    const Regions regions = make_sample(layout, b).views[0];
    const at::Tensor features = at::tensor(regions.features).view({regions.count(), layout.feature_width});
    const int64_t drawn = std::min<int64_t>(2, regions.count());
    std::vector<int64_t> times(static_cast<size_t>(regions.count()));
    for (const Batch& batch : batches) {
      ASSERT_EQ(batch.inputs.region_mask[b].sum().item<int64_t>(), 1 + drawn) << b;
      const at::Tensor rows = batch.inputs.region_features[b].slice(0, 1, 1 + drawn);
      EXPECT_TRUE(at::allclose(batch.inputs.region_features[b][0], rows.mean(0)))
          << "the global region is of those drawn";
      int64_t last = -1;
      for (int64_t i = 0; i < drawn; ++i) {
        int64_t region = last + 1;
        while (region < regions.count() && !at::equal(rows[i], features[region])) ++region;
        ASSERT_LT(region, regions.count()) << "one of the sample's regions, in their order";
        ++times[static_cast<size_t>(region)];
        last = region;
      }
    }
    for (const int64_t count : times) EXPECT_GT(count, 0) << "every region has its turn";
  }
}

TEST_F(Loader, GivesTheSameBatchesWithAnyNumberOfWorkers) {
  const auto expected = load({.batch_size = 4, .workers = 0}, MaskingOptions{}, {.epochs = 3});
  ASSERT_EQ(expected.size(), 18U);
  for (const int64_t workers : {1, 2, 5}) {
    for (const int64_t prefetch : {1, 3, 50}) {
      const LoaderOptions options{.batch_size = 4, .workers = workers, .prefetch = prefetch};
      expect_equal(load(options, MaskingOptions{}, {.epochs = 3}), expected);
    }
  }
}

TEST_F(Loader, ResumesAtTheNextSample) {
  const LoaderOptions options{.batch_size = 4};
  const auto whole = load(options, MaskingOptions{}, {.epochs = 2});
  for (int64_t done = 0; done <= 6; ++done) {
    const auto rest = load(options, MaskingOptions{}, {.first_epoch = 1, .first_batch = done});
    expect_equal(rest, std::vector<Batch>(whole.begin() + 6 + done, whole.end()));
    const auto both = load(options, MaskingOptions{}, {.first_batch = done, .epochs = 2});
    expect_equal(both, std::vector<Batch>(whole.begin() + done, whole.end()));
  }
  EXPECT_THAT(error_of([&] { load(options, MaskingOptions{}, {.first_batch = 7}); }), HasSubstr("epoch of 6"));
}

TEST_F(Loader, ShowsEverySampleOnceAnEpoch) {
  const auto batches = load({.batch_size = 4}, MaskingOptions{}, {.first_epoch = 5, .epochs = 2});
  std::map<int64_t, std::multiset<int64_t>> seen;
  for (const Batch& batch : batches) seen[batch.epoch].insert(batch.samples.begin(), batch.samples.end());
  ASSERT_EQ(seen.size(), 2U);
  for (const int64_t epoch : {5, 6}) {
    EXPECT_EQ(seen[epoch].size(), kSamples);
    EXPECT_EQ(std::set<int64_t>(seen[epoch].begin(), seen[epoch].end()).size(), kSamples);
  }
}

TEST_F(Loader, LeavesOutTheSmallerLastBatchOnRequest) {
  const auto batches = load({.batch_size = 4, .drop_last = true});
  ASSERT_EQ(batches.size(), 5U);
  for (const Batch& batch : batches) EXPECT_EQ(batch.samples.size(), 4U);
  EXPECT_THAT(error_of([&] { load({.batch_size = 24, .drop_last = true}); }), HasSubstr("not enough for one batch"));
}

TEST_F(Loader, FillsReleasedMemoryAgain) {
  capture::Loader loader(*dataset, letters, {.batch_size = 4, .workers = 0}, MaskingOptions{}, {.epochs = 8});
  std::set<const void*> blocks;
  std::vector<Batch> held;
  while (auto batch = loader.next()) {
    blocks.insert(batch->inputs.region_features.const_data_ptr());
    if (batch->epoch == 0) held.push_back(std::move(*batch));
  }
  // Six batches are held on to, and one block serves all the others.
  EXPECT_LE(blocks.size(), 8U);
  expect_equal(held, load({.batch_size = 4, .workers = 0}));
}

TEST_F(Loader, HandsOverWhatAWorkerThrew) {
  const auto path = folder / "b.capshard";
  const ShardHeader header = Shard(path).header();
  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out)
      .seekp(header.records_at + header.record_bytes)
      .write("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8);
  for (const int64_t workers : {0, 3}) {
    capture::Loader loader(*dataset, letters, {.batch_size = 4, .workers = workers, .shuffle = false});
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(loader.next().has_value());
    const std::string message = error_of([&] { loader.next(); });
    EXPECT_THAT(message, HasSubstr("b.capshard, sample 1: points outside"));
    EXPECT_THAT(message, HasSubstr("capture_data verify"));
  }
}

TEST_F(Loader, FillsPinnedMemory_CUDA) {
  try {
    parse_device("cuda");
  } catch (const UserError& error) {
    GTEST_SKIP() << error.what();
  }
  const LoaderOptions options{.batch_size = 4};
  const auto pinned = load(options, MaskingOptions{}, {.pin_memory = true});
  for (const Batch& batch : pinned) {
    EXPECT_TRUE(batch.inputs.region_features.is_pinned());
    EXPECT_TRUE(batch.inputs.token_ids.is_pinned());
    // A batch without masked regions has none of this memory.
    EXPECT_TRUE(batch.targets.region_features.is_pinned() || batch.targets.region_features.numel() == 0);
  }
  expect_equal(pinned, load(options));
  for (const Batch& batch : load(options, MaskingOptions{}, {.pin_memory = true, .packed = true})) {
    EXPECT_TRUE(batch.packed->region_features.is_pinned());
    EXPECT_TRUE(batch.packed->text_starts.is_pinned());
    EXPECT_TRUE(batch.packed->region_starts.is_pinned());
  }
}

TEST_F(Loader, StopsInTheMiddle) {
  for (int round = 0; round < 20; ++round) {
    capture::Loader loader(*dataset, letters, {.batch_size = 1, .workers = 3, .prefetch = 2}, MaskingOptions{});
    for (int i = 0; i < round; ++i) EXPECT_EQ(loader.next()->index, i);
  }
}

}  // namespace
}  // namespace capture
