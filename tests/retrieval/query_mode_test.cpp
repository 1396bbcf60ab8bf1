#include "capture/retrieval/query_mode.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "capture/tensor/random.h"
#include "embedding.h"

namespace capture {
namespace {

using testing::HasSubstr;

std::vector<std::string_view> views(const std::vector<std::string>& ids) {
  return {ids.begin(), ids.end()};
}

/// What merged() promises, said plainly: every item of the whole lists, sorted.
std::vector<Match> plainly_merged(const std::vector<std::vector<Match>>& whole, Merge merge, size_t depth,
                                  const std::vector<std::string>& ids) {
  // Place and score as numbers of which the lower is the better.
  std::map<int32_t, std::pair<double, double>> best;
  for (const auto& list : whole) {
    for (size_t place = 0; place < list.size(); ++place) {
      const std::pair found{merge == Merge::rank ? static_cast<double>(place) : 0.0, -double{list[place].score}};
      auto& known = best.try_emplace(list[place].item, found).first->second;
      known = std::min(known, found);
    }
  }
  std::vector<std::tuple<double, double, std::string, int32_t>> order;
  for (const auto& [item, found] : best) {
    order.emplace_back(found.first, found.second, ids[static_cast<size_t>(item)], item);
  }
  std::ranges::sort(order);
  std::vector<Match> matches;
  for (const auto& [place, score, id, item] : order) {
    if (matches.size() == depth) break;
    matches.push_back({item, merge == Merge::rank ? 1.0F / static_cast<float>(place + 1) : static_cast<float>(-score)});
  }
  return matches;
}

TEST(Merged, IsThePlainMergeOfWholeListsThoughItSeesTheirStartAlone) {
  for (uint64_t round = 0; round < 3000; ++round) {
    RandomStream random(3, round, 0);
    const size_t gallery = 1 + random.below(12), depth = 1 + random.below(static_cast<uint32_t>(gallery + 2));
    std::vector<std::string> ids;
    for (size_t i = 0; i < gallery; ++i) ids.push_back("id" + std::to_string((i * 7) % 13));
    std::vector<std::vector<Match>> whole(random.below(5)), starts;
    for (auto& list : whole) {
      for (size_t i = 0; i < gallery; ++i) {
        list.push_back({static_cast<int32_t>(i), static_cast<float>(random.below(4)) - 1});  // ties are the rule
      }
      std::ranges::sort(list, [&](const Match& a, const Match& b) {
        if (a.score != b.score) return a.score > b.score;
        return ids[static_cast<size_t>(a.item)] < ids[static_cast<size_t>(b.item)];
      });
      starts.emplace_back(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(std::min(depth, gallery)));
    }
    for (const Merge merge : {Merge::score, Merge::rank}) {
      const std::vector<Match> found = merged(starts, merge, depth, views(ids));
      const std::vector<Match> expected = plainly_merged(whole, merge, depth, ids);
      ASSERT_EQ(found.size(), expected.size());
      for (size_t i = 0; i < found.size(); ++i) {
        ASSERT_EQ(found[i].item, expected[i].item) << round << " at " << i;
        ASSERT_EQ(found[i].score, expected[i].score);
      }
    }
  }
}

class QueryModeTest : public EmbedderTest {
 protected:
  QueryModeTest() {
    ShardWriter writer(folder_ / "titled.capshard", small_layout());
    for (int64_t i = 0; i < 12; ++i) {
      Sample sample = make_sample(small_layout(), i);
      sample.titles[0] += 'x';
      writer.add(sample);
    }
    writer.finish();
  }
  QueryVectors asked(QueryMode mode, const EmbedderOptions& options = {}, const EmbeddingCache* cache = nullptr) {
    return embed_queries(cache, mode, model_, at::kCPU, Dataset(folder_ / "titled.capshard"), letters_, options);
  }
  PairEmbeddings embedded(const std::vector<Sample>& samples) {
    return embed_samples(model_, at::kCPU, samples, letters_, {});
  }
  std::vector<Sample> stored() const {
    std::vector<Sample> samples;
    const Dataset data(folder_ / "titled.capshard");
    for (int64_t i = 0; i < data.size(); ++i) samples.push_back(data.sample(i).copy());
    return samples;
  }
};

TEST_F(QueryModeTest, TextAndImageShowOneSideAlone) {
  std::vector<Sample> texts = stored(), images = stored();
  for (Sample& sample : texts) sample.views.clear();
  for (Sample& sample : images) sample.titles.clear();
  expect_near(asked(QueryMode::text).questions, embedded(texts), 1e-5);
  expect_near(asked(QueryMode::image).questions, embedded(images), 1e-5);
  expect_near(asked(QueryMode::whole).questions, embedded(stored()), 1e-5);
  std::vector<int64_t> one_each(13);
  std::iota(one_each.begin(), one_each.end(), 0);
  for (const QueryMode mode : {QueryMode::whole, QueryMode::text, QueryMode::image}) {
    EXPECT_EQ(asked(mode).starts, one_each);
  }
}

TEST_F(QueryModeTest, InstancesShowEveryRegionAsAPhoto) {
  std::vector<Sample> expected;
  std::vector<int64_t> starts = {0};
  for (const Sample& sample : stored()) {
    const Regions& photo = sample.views[0];
    for (int64_t r = 0; r < std::min<int64_t>(photo.count(), 3); ++r) {
      Regions region{.image_width = 50, .image_height = 20, .boxes = {0, 0, 50, 20}};
      region.features.assign(photo.features.begin() + 10 * r, photo.features.begin() + 10 * (r + 1));
      expected.push_back({.id = "region", .views = {region}});
    }
    starts.push_back(static_cast<int64_t>(expected.size()));
  }
  const QueryVectors found = asked(QueryMode::instances, {.max_regions = 3});
  EXPECT_EQ(found.starts, starts);
  expect_near(found.questions, embedded(expected), 1e-5);
  EXPECT_EQ(found.questions.text_pooled.abs().max().item<float>(), 0) << "there is no title";
}

TEST_F(QueryModeTest, EachModeIsKeptUnderAKeyOfItsOwn) {
  const EmbeddingCache cache(folder_ / "cache");
  for (int round = 0; round < 2; ++round) {
    for (const QueryMode mode : {QueryMode::whole, QueryMode::text, QueryMode::image, QueryMode::instances}) {
      expect_near(asked(mode, {}, &cache).questions, asked(mode).questions, 0);
    }
  }
}

TEST(QueryMode, RecipesThatLookAtWhatIsMissingAreRefused) {
  const auto refusal = [](QueryMode mode, const char* recipe) {
    return error_of([&] { require_fit(mode, parse_recipe(recipe)); });
  };
  EXPECT_THAT(refusal(QueryMode::text, "pre.image-to-text"), HasSubstr("the mode text a query has no photo"));
  EXPECT_THAT(refusal(QueryMode::image, "post.text"), HasSubstr("the mode image a query has no title"));
  EXPECT_THAT(refusal(QueryMode::instances, "pre.text-to-sum"), HasSubstr("sum, concat or image"));
  for (const char* recipe : {"pre.sum", "post.concat", "pre.sum-to-image"}) {
    EXPECT_EQ(refusal(QueryMode::text, recipe) + refusal(QueryMode::instances, recipe), "");
  }
  EXPECT_EQ(refusal(QueryMode::text, "pre.text-to-image") + refusal(QueryMode::image, "pre.image-to-text"), "");
  for (const Recipe recipe : all_recipes()) EXPECT_EQ(refusal(QueryMode::whole, name_of(recipe).c_str()), "");
}

}  // namespace
}  // namespace capture
