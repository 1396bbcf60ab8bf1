#include "capture/retrieval/query_mode.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "capture/retrieval/cross_modal.h"
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
  QueryVectors asked(QueryMode mode, const EmbedderOptions& options = {},
                     const std::optional<CacheOfModel>& cache = {}) {
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
  const CacheOfModel cache(EmbeddingCache(folder_ / "cache"), *model_);
  for (int round = 0; round < 2; ++round) {
    for (const QueryMode mode : {QueryMode::whole, QueryMode::text, QueryMode::image, QueryMode::instances}) {
      expect_near(asked(mode, {}, cache).questions, asked(mode).questions, 0);
    }
  }
}

TEST_F(QueryModeTest, RankingsOfInstancesAreTheMergedRankingsOfEachRegion) {
  const ProductList list = product_list(data_, "gallery");
  const Dataset data(folder_ / "titled.capshard");
  const ProductList queries = product_list(data, "queries");
  const GroundTruth truth(list, std::span(&queries, 1));
  const QueryVectors asked_for = asked(QueryMode::instances);
  const Recipe recipe = parse_recipe("pre.sum");
  const at::Tensor questions = apply(recipe, RecipeSide::query, asked_for.questions);
  const at::Tensor gallery = apply(recipe, RecipeSide::gallery, EmbedderTest::embedded({}));
  const std::vector<std::string_view> ids = item_ids(truth);
  for (const Merge merge : {Merge::score, Merge::rank}) {
    const Rankings found = rank_questions(questions, asked_for.starts, gallery, truth, {.depth = 7}, merge);
    ASSERT_EQ(found.lines.size(), 12U);
    for (size_t q = 0; q < found.lines.size(); ++q) {
      std::vector<std::vector<Match>> lists;
      for (int64_t i = asked_for.starts[q]; i < asked_for.starts[q + 1]; ++i) {
        lists.push_back(exact_search(questions.slice(0, i, i + 1), gallery, ids, {.depth = 23})[0]);
      }
      const std::vector<Match> expected = plainly_merged(lists, merge, 7, {ids.begin(), ids.end()});
      ASSERT_EQ(found.lines[q].items.size(), expected.size());
      EXPECT_EQ(found.lines[q].query, static_cast<int32_t>(q));
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(found.lines[q].items[i], expected[i].item);
        EXPECT_EQ(found.lines[q].scores[i], expected[i].score);
      }
    }
  }
}

TEST(CrossModal, OwnPlacesCountWhatComesBefore) {
  // Photo 0 and title 0 point the same way; titles 1 and 2 are equal; photo 3 is nearest to title 2.
  const at::Tensor text = at::tensor({1.0F, 0.0F, 0.6F, 0.8F, 0.6F, 0.8F, 0.0F, 1.0F}).view({4, 2});
  const at::Tensor image = at::tensor({2.0F, 0.0F, 1.2F, 1.6F, 0.8F, 0.6F, 0.6F, 0.8F}).view({4, 2});
  const PairEmbeddings pairs{text, image, {}, {}};
  const std::vector<std::string_view> ids = {"a", "b", "c", "d"};
  const OwnPlaces places = own_places(pairs, ids, 3);
  EXPECT_THAT(places.title_to_photo, testing::ElementsAre(0, 0, 2, 1));
  EXPECT_THAT(places.photo_to_title, testing::ElementsAre(0, 0, 1, 2));
  EXPECT_EQ(recall_at(places.title_to_photo, 1), 0.5);
  EXPECT_EQ(recall_at(places.title_to_photo, 2), 0.75);
  EXPECT_EQ(recall_at(std::vector<int64_t>{3, 3}, 3), 0);
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
