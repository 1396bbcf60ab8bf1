#include "capture/retrieval/search.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "capture/base/error.h"
#include "capture/tensor/random.h"

namespace capture {
namespace {

using testing::HasSubstr;

/// Every pair scored, every score sorted: the definition.
std::vector<std::vector<Match>> naive_search(const at::Tensor& queries, const at::Tensor& gallery,
                                             const std::vector<std::string>& ids, size_t depth) {
  const at::Tensor q = queries.to(at::kFloat).contiguous(), g = gallery.to(at::kFloat).contiguous();
  std::vector<std::vector<Match>> results;
  for (int64_t i = 0; i < q.size(0); ++i) {
    std::vector<Match> all;
    for (int64_t j = 0; j < g.size(0); ++j) {
      long double sum = 0;
      for (int64_t k = 0; k < q.size(1); ++k) {
        sum += static_cast<long double>(q.const_data_ptr<float>()[i * q.size(1) + k]) *
               static_cast<long double>(g.const_data_ptr<float>()[j * g.size(1) + k]);
      }
      all.push_back({static_cast<int32_t>(j), static_cast<float>(sum)});
    }
    std::ranges::sort(all, [&](const Match& a, const Match& b) {
      return a.score != b.score ? a.score > b.score
                                : ids[static_cast<size_t>(a.item)] < ids[static_cast<size_t>(b.item)];
    });
    all.resize(std::min(depth, all.size()));
    results.push_back(all);
  }
  return results;
}

std::vector<std::vector<Match>> exact_search(const at::Tensor& queries, const at::Tensor& gallery,
                                             const std::vector<std::string>& ids, const SearchOptions& options) {
  return capture::exact_search(queries, gallery, std::vector<std::string_view>(ids.begin(), ids.end()), options);
}

void expect_same(const std::vector<std::vector<Match>>& got, const std::vector<std::vector<Match>>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t q = 0; q < got.size(); ++q) {
    ASSERT_EQ(got[q].size(), expected[q].size()) << "query " << q;
    for (size_t i = 0; i < got[q].size(); ++i) {
      ASSERT_EQ(got[q][i].item, expected[q][i].item) << "query " << q << " place " << i;
      ASSERT_EQ(got[q][i].score, expected[q][i].score) << "query " << q << " place " << i;
    }
  }
}

/// Different ids in no order at all, some of them longer versions of others, some not ASCII.
std::vector<std::string> shuffled_ids(int64_t count, RandomStream& random) {
  std::vector<std::string> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back((i % 3 == 0 ? "霜" : i % 3 == 1 ? "g" : "") + std::to_string(i));
  for (size_t i = ids.size(); i > 1; --i) std::swap(ids[i - 1], ids[random.below(static_cast<uint32_t>(i))]);
  return ids;
}

TEST(Search, EqualsTheNaiveSearchOnRandomCases) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(seed);
    at::manual_seed(seed);
    RandomStream random(seed, 0, 0);
    const int64_t width = 1 + random.below(70), items = 1 + random.below(200), count = random.below(40);
    at::Tensor queries = at::randn({count, width}), gallery = at::randn({items, width});
    const uint32_t kind = random.below(4);
    if (kind == 1) {  // coarse values: many equal scores
      queries = queries.round();
      gallery = gallery.round();
    } else if (kind == 2) {  // the same few vectors again and again, beside ones that differ in the last bit
      gallery = gallery.index_select(0, at::randint(0, std::min<int64_t>(items, 4), {items}));
      gallery = gallery * (1 + at::randint(0, 2, {items, 1}) * 0x1p-23);
    } else if (kind == 3) {
      queries = queries.to(at::kBFloat16);
      gallery = gallery.to(at::kBFloat16);
    }
    const std::vector<std::string> ids = shuffled_ids(items, random);
    SearchOptions options;
    options.depth = 1 + random.below(static_cast<uint32_t>(items) + 20);
    options.query_tile = 1 + random.below(40);
    options.gallery_tile = 1 + random.below(150);
    expect_same(exact_search(queries, gallery, ids, options),
                naive_search(queries, gallery, ids, static_cast<size_t>(options.depth)));
  }
}

TEST(Search, AConstantScorerRanksByIdInByteOrder) {
  const std::vector<std::string> ids = {"g2", "霜", "g10", "", "z", "g1"};
  const auto found = exact_search(at::ones({2, 8}), at::full({6, 8}, 0.1), ids, {.depth = 5, .gallery_tile = 2});
  for (const auto& matches : found) {
    std::vector<std::string> ranked;
    for (const Match& match : matches) ranked.push_back(ids[static_cast<size_t>(match.item)]);
    EXPECT_THAT(ranked, testing::ElementsAre("", "g1", "g10", "g2", "z"));
  }
}

TEST(Search, NeitherTilesNorReducedProductsChangeAnything) {
  at::manual_seed(1);
  RandomStream random(1, 0, 0);
  const auto unit = [](const at::Tensor& rows) { return rows / rows.norm(2, 1, true); };
  // Vectors so close to one another that rounding in the product would reorder them.
  const at::Tensor gallery = unit(at::randn({1, 512}) + 1e-4 * at::randn({3000, 512}));
  const at::Tensor queries = unit(at::randn({20, 512}));
  const auto ids = shuffled_ids(3000, random);
  const auto expected = naive_search(queries, gallery, ids, 100);
  for (const int64_t tile : {7, 256, 3000, 8192}) {
    expect_same(exact_search(queries, gallery, ids, {.query_tile = std::min<int64_t>(tile, 20), .gallery_tile = tile}),
                expected);
  }
  at::globalContext().setFloat32Precision(at::Float32Backend::MKLDNN, at::Float32Op::MATMUL,
                                          at::Float32Precision::BF16);
  const auto reduced = exact_search(queries, gallery, ids, {});
  at::globalContext().setFloat32Precision(at::Float32Backend::MKLDNN, at::Float32Op::MATMUL,
                                          at::Float32Precision::NONE);
  expect_same(reduced, expected);
}

TEST(Search, HugeValuesAreRankedToo) {
  const at::Tensor gallery = at::tensor({1e30f, -1e30f, 3e38f, 0.0f}).unsqueeze(1).repeat({1, 40});
  const std::vector<std::string> ids = {"a", "b", "c", "d"};
  expect_same(exact_search(at::full({1, 40}, 2e8f), gallery, ids, {.gallery_tile = 1}),
              naive_search(at::full({1, 40}, 2e8f), gallery, ids, 4));
}

TEST(Search, ValuesThatAreNotFiniteAreRefusedByName) {
  const std::vector<std::string> ids = {"a", "b"};
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    at::Tensor rows = at::ones({2, 3});
    rows[1][2] = bad;
    try {
      exact_search(at::ones({1, 3}), rows, ids, {});
      ADD_FAILURE();
    } catch (const UserError& error) {
      EXPECT_THAT(error.what(), HasSubstr("gallery item 1 ('b')"));
    }
    try {
      exact_search(rows, at::ones({2, 3}), ids, {});
      ADD_FAILURE();
    } catch (const UserError& error) {
      EXPECT_THAT(error.what(), HasSubstr("query 1"));
    }
  }
}

}  // namespace
}  // namespace capture
