#include "capture/retrieval/search.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "capture/base/error.h"
#include "capture/tensor/device.h"
#include "capture/tensor/random.h"

namespace capture {
namespace {

using testing::HasSubstr;
using Matches = std::vector<std::vector<Match>>;

std::span<const float> row(const at::Tensor& rows, int64_t i) {
  return {rows.const_data_ptr<float>() + i * rows.size(1), static_cast<size_t>(rows.size(1))};
}

/// Every pair scored, every score sorted: the definition.
Matches naive_search(const at::Tensor& queries, const at::Tensor& gallery, const std::vector<std::string>& ids,
                     size_t depth) {
  const at::Tensor q = queries.to(at::kFloat).contiguous(), g = gallery.to(at::kFloat).contiguous();
  Matches results;
  for (int64_t i = 0; i < q.size(0); ++i) {
    std::vector<Match> all;
    for (int64_t j = 0; j < g.size(0); ++j) all.push_back({static_cast<int32_t>(j), exact_score(row(q, i), row(g, j))});
    std::ranges::sort(all, [&](const Match& a, const Match& b) {
      return a.score != b.score ? a.score > b.score
                                : ids[static_cast<size_t>(a.item)] < ids[static_cast<size_t>(b.item)];
    });
    all.resize(std::min(depth, all.size()));
    results.push_back(all);
  }
  return results;
}

std::vector<std::string_view> id_views(const std::vector<std::string>& ids) {
  return {ids.begin(), ids.end()};
}

Matches exact_search(const at::Tensor& queries, const at::Tensor& gallery, const std::vector<std::string>& ids,
                     const SearchOptions& options) {
  return capture::exact_search(queries, gallery, id_views(ids), options);
}

void expect_same(const Matches& got, const Matches& expected) {
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

struct Case {
  at::Tensor queries, gallery;
  std::vector<std::string> ids;
  SearchOptions options;
};

constexpr uint32_t kKinds = 12;

/// Vectors of one kind, most of them made to deceive.
void shape(Case& c, uint32_t kind, RandomStream& random) {
  const int64_t items = c.gallery.size(0);
  const auto some_of = [&](int64_t count) { return at::randint(0, std::min(items, count), {items}); };
  if (kind == 1) {  // coarse values: many equal scores
    c.queries = c.queries.round();
    c.gallery = c.gallery.round();
  } else if (kind == 2) {  // the same few vectors again and again, beside ones that differ in the last bit
    c.gallery = c.gallery.index_select(0, some_of(4)) * (1 + at::randint(0, 2, {items, 1}) * 0x1p-23);
  } else if (kind == 3) {
    c.queries = c.queries.to(at::kBFloat16);
    c.gallery = c.gallery.to(at::kHalf);
  } else if (kind == 4) {  // vectors of zeros, and negative ones
    c.queries = c.queries * at::randint(0, 2, {c.queries.size(0), 1});
    c.gallery = c.gallery * (at::randint(0, 3, {items, 1}) - 1);
  } else if (kind == 5) {  // a constant scorer
    c.gallery = c.gallery.slice(0, 0, 1).expand_as(c.gallery);
  } else if (kind == 6) {  // lengths from tiny to huge
    c.gallery = c.gallery * at::pow(10, at::randint(-30, 31, {items, 1}).to(at::kFloat));
    c.queries = c.queries * at::pow(10, at::randint(-7, 8, {c.queries.size(0), 1}).to(at::kFloat));
  } else if (kind == 7) {  // all in much the same direction
    c.gallery = at::ones({1, c.gallery.size(1)}) + 1e-3 * c.gallery;
    c.queries = at::ones({1, c.queries.size(1)}) + 1e-3 * c.queries;
  } else if (kind == 8) {  // below the smallest normal number
    c.gallery = c.gallery * 1e-39;
  } else if (kind == 9) {  // not contiguous, in double
    c.gallery = c.gallery.t().contiguous().t();
    c.queries = c.queries.to(at::kDouble);
  } else if (kind == 10) {  // sums that exceed float32
    c.gallery = c.gallery * 1e37;
    c.queries = c.queries * at::pow(10, at::randint(-3, 3, {c.queries.size(0), 1}).to(at::kFloat));
  } else if (kind == 11) {  // a gallery of the queries themselves
    if (c.queries.size(0) > 0) c.gallery = c.queries.index_select(0, at::randint(0, c.queries.size(0), {items}));
  }
  c.gallery = random.below(2) == 0 ? c.gallery : c.gallery.clone();
}

Case random_case(uint64_t seed) {
  at::manual_seed(seed);
  RandomStream random(seed, 0, 0);
  const int64_t width = random.below(8) == 0 ? 1 : 1 + random.below(70);
  const int64_t items = 1 + random.below(random.below(4) == 0 ? 400 : 60), count = random.below(40);
  Case c;
  c.queries = at::randn({count, width});
  c.gallery = at::randn({items, width});
  shape(c, random.below(kKinds), random);
  c.ids = shuffled_ids(items, random);
  c.options.depth = 1 + random.below(static_cast<uint32_t>(items) + 20);
  c.options.query_tile = random.below(40);
  c.options.gallery_tile = random.below(150);
  c.options.kernel = score_kernels()[random.below(static_cast<uint32_t>(score_kernels().size()))];
  return c;
}

TEST(Search, EqualsTheNaiveSearchOnRandomCases) {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    SCOPED_TRACE(seed);
    const Case c = random_case(seed);
    SCOPED_TRACE(c.options.kernel->name);
    const Matches expected = naive_search(c.queries, c.gallery, c.ids, static_cast<size_t>(c.options.depth));
    expect_same(exact_search(c.queries, c.gallery, c.ids, c.options), expected);
    if (seed % 4 == 1) {
      expect_same(Searcher(c.gallery, id_views(c.ids), c.options).search(c.queries, c.options.depth), expected);
    }
    if (seed % 4 == 0) {
      expect_same(
          search_with_tensors(c.queries, c.gallery.to(c.queries.scalar_type()), id_views(c.ids), c.options.depth),
          naive_search(c.queries, c.gallery.to(c.queries.scalar_type()), c.ids, static_cast<size_t>(c.options.depth)));
    }
    if (testing::Test::HasFatalFailure()) return;
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

/// Vectors so close to one another that rounding in the product would reorder them.
TEST(Search, NeitherTilesNorKernelsNorReducedProductsChangeAnything) {
  at::manual_seed(1);
  RandomStream random(1, 0, 0);
  const auto unit = [](const at::Tensor& rows) { return rows / rows.norm(2, 1, true); };
  const at::Tensor gallery = unit(at::randn({1, 512}) + 1e-4 * at::randn({3000, 512}));
  const at::Tensor queries = unit(at::randn({20, 512}));
  const auto ids = shuffled_ids(3000, random);
  const auto expected = naive_search(queries, gallery, ids, 100);
  for (const int64_t tile : {7, 256, 3000, 8192}) {
    expect_same(exact_search(queries, gallery, ids, {.query_tile = std::min<int64_t>(tile, 20), .gallery_tile = tile}),
                expected);
  }
  for (const ScoreKernel* kernel : score_kernels()) {
    SCOPED_TRACE(kernel->name);
    expect_same(exact_search(queries, gallery, ids, {.kernel = kernel}), expected);
  }
  expect_same(exact_search(queries, gallery, ids, {.precision = Precision::bfloat16}), expected);
  at::globalContext().setFloat32Precision(at::Float32Backend::MKLDNN, at::Float32Op::MATMUL,
                                          at::Float32Precision::BF16);
  const auto reduced = search_with_tensors(queries, gallery, id_views(ids), 100);
  at::globalContext().setFloat32Precision(at::Float32Backend::MKLDNN, at::Float32Op::MATMUL,
                                          at::Float32Precision::NONE);
  expect_same(reduced, expected);
}

TEST(Search, LongListsAndManyQueriesGoThroughEveryStep) {
  at::manual_seed(2);
  RandomStream random(2, 0, 0);
  const at::Tensor gallery = at::randn({5000, 24}), queries = at::randn({90, 24});
  const auto ids = shuffled_ids(5000, random);
  for (const int64_t depth : {1, 100, 4000}) {
    const auto expected = naive_search(queries, gallery, ids, static_cast<size_t>(depth));
    for (const ScoreKernel* kernel : score_kernels()) {
      SCOPED_TRACE(kernel->name);
      expect_same(exact_search(queries, gallery, ids, {.depth = depth, .kernel = kernel}), expected);
    }
    expect_same(search_with_tensors(queries, gallery, id_views(ids), depth), expected);
  }
}

TEST(Search, ExactScoresAreTrueToTheLastPlaceAndTheSameInEveryKernel) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    at::manual_seed(seed);
    const int64_t width = 1 + static_cast<int64_t>(seed) % 100;
    const at::Tensor a = at::rand({width}), b = at::rand({width});
    const std::span<const float> left = row(a.unsqueeze(0), 0), right = row(b.unsqueeze(0), 0);
    long double sum = 0;
    for (size_t k = 0; k < left.size(); ++k) sum += static_cast<long double>(left[k]) * right[k];
    EXPECT_EQ(exact_score(left, right), static_cast<float>(sum));
    for (const ScoreKernel* kernel : score_kernels()) {
      EXPECT_EQ(kernel->dot(left.data(), right.data(), width),
                score_kernels()[0]->dot(left.data(), right.data(), width))
          << kernel->name;
    }
  }
}

TEST(Search, ValuesThatAreNotFiniteAreRefusedByName) {
  const std::vector<std::string> ids = {"a", "b"};
  const auto refusal = [&](const at::Tensor& queries, const at::Tensor& gallery, bool tensors) -> std::string {
    try {
      if (tensors) search_with_tensors(queries, gallery, id_views(ids), 1);
      for (const ScoreKernel* kernel : score_kernels()) exact_search(queries, gallery, ids, {.kernel = kernel});
    } catch (const UserError& error) {
      return error.what();
    }
    return "accepted";
  };
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    at::Tensor rows = at::ones({2, 3});
    rows[1][2] = bad;
    for (const bool tensors : {false, true}) {
      EXPECT_THAT(refusal(at::ones({1, 3}), rows, tensors), HasSubstr("gallery item 1 ('b')"));
      EXPECT_THAT(refusal(rows, at::ones({2, 3}), tensors), HasSubstr("query 1"));
    }
  }
}

TEST(Search, AnEmptyGalleryGivesEmptyLists) {
  expect_same(exact_search(at::ones({2, 3}), at::ones({0, 3}), {}, {}), Matches(2));
}

TEST(Search, AGpuFindsTheSame_CUDA) {
  const at::Device gpu = parse_device("auto");
  if (!gpu.is_cuda()) GTEST_SKIP() << "no GPU";
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    const Case c = random_case(seed);
    const at::Tensor gallery = c.gallery.to(c.queries.scalar_type());
    expect_same(exact_search(c.queries.to(gpu), gallery.to(gpu), c.ids, c.options),
                naive_search(c.queries, gallery, c.ids, static_cast<size_t>(c.options.depth)));
    if (testing::Test::HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace capture
