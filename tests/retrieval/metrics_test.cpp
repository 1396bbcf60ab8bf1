// Figures worked out by hand. The program's tests hold both protocols against a plain reference on random cases.
#include "capture/retrieval/metrics.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "capture/base/json.h"
#include "lists.h"

namespace capture {
namespace {

Hits hits_of(const GroundTruth& truth, const GroundTruthQuery& query, const std::vector<int32_t>& items,
             int64_t depth) {
  Hits hits(truth);
  hits.find(query, items, depth);
  return hits;
}

StrictScores strict_scores(const GroundTruth& truth, const GroundTruthQuery& query, const std::vector<int32_t>& items,
                           int64_t n) {
  return hits_of(truth, query, items, n).strict(n);
}

double r_precision(const GroundTruth& truth, const GroundTruthQuery& query, const std::vector<int32_t>& items) {
  return hits_of(truth, query, items, query.positives).r_precision();
}

double reciprocal_rank(const GroundTruth& truth, const GroundTruthQuery& query, const std::vector<int32_t>& items) {
  const double rank = hits_of(truth, query, items, 1).reciprocal_rank();
  EXPECT_EQ(hits_of(truth, query, items, 1000).reciprocal_rank(), rank) << "however deep hits were looked for";
  return rank;
}

class MetricsTest : public testing::Test {
 protected:
  OfficialScores official(const std::string& query, const std::string& items, int64_t n) const {
    return hits_of(truth_, this->query(query), ranked(items), n).official(n);
  }
  const GroundTruthQuery& query(const std::string& id) const { return truth_.query(truth_.find_query(id)); }

  /// One letter an item.
  std::vector<int32_t> ranked(const std::string& items) const {
    std::vector<int32_t> result;
    for (const char item : items) result.push_back(truth_.find_item(std::string(1, item)));
    return result;
  }

  GroundTruth truth_{
      list_of("gallery",
              {{"a", {"cup"}}, {"b", {"pan", "cup"}}, {"c", {"cup"}}, {"d", {"lid"}}, {"e", {"cup"}}, {"f", {}}}),
      std::vector{list_of("queries", {{"cup", {"cup"}},
                                      {"twice", {"cup", "cup", "pan"}},
                                      {"absent", {"cup", "fork"}},
                                      {"three", {"pan", "lid", "cup"}},
                                      {"none", {}}})}};
};

TEST_F(MetricsTest, OnlyTheFirstLabelOfAGalleryItemCounts) {
  EXPECT_EQ(truth_.items_with(truth_.item_label(truth_.find_item("a"))), 3);
  EXPECT_FALSE(is_hit(truth_, query("cup"), truth_.find_item("b")));
  EXPECT_FALSE(is_hit(truth_, query("none"), truth_.find_item("f")));
  EXPECT_FALSE(is_hit(truth_, query("cup"), kUnknown));
}

TEST_F(MetricsTest, OfficialAveragesOverHitsUpToTheNumberOfPositives) {
  const OfficialScores scores = official("cup", "daceb", 10);
  EXPECT_DOUBLE_EQ(scores.average_precision, (1.0 / 2 + 2.0 / 3) / 2) << "k is 3, so the hit at rank 4 is not seen";
  EXPECT_DOUBLE_EQ(scores.precision, 2.0 / 3);
  EXPECT_DOUBLE_EQ(scores.average_recall, 1.0) << "recall looks at the first 10";
}

TEST_F(MetricsTest, OfficialCountsALabelAsOftenAsItIsListed) {
  EXPECT_EQ(query("twice").listed_positives, 7);
  EXPECT_EQ(query("twice").positives, 4);
  const OfficialScores scores = official("twice", "adcfbe", 3);
  EXPECT_DOUBLE_EQ(scores.average_precision, (1.0 + 2.0 / 3) / 2);
  EXPECT_DOUBLE_EQ(scores.average_recall, (2.0 / 2 + 0.0) / 2) << "2 x int(3 / 3) cups are expected, and 1 pan";
}

TEST_F(MetricsTest, OfficialGivesUpWhereThePublishedScriptDoes) {
  EXPECT_EQ(official("absent", "a", 10).fault, OfficialFault::absent_label);
  EXPECT_EQ(official("cup", "", 10).fault, OfficialFault::empty_ranking);
  EXPECT_EQ(official("none", "a", 10).fault, OfficialFault::empty_ranking);

  const OfficialScores unknown = official("cup", "aZ", 10);
  EXPECT_EQ(unknown.fault, OfficialFault::unknown_item);
  EXPECT_DOUBLE_EQ(unknown.precision, 0.5) << "what was added before stays";
  EXPECT_EQ(unknown.average_recall, 0.0);
  EXPECT_EQ(official("cup", "aZ", 1).fault, OfficialFault::none) << "an unknown id past the first N is never looked up";

  EXPECT_EQ(official("three", "a", 2).fault, OfficialFault::nothing_expected);
  EXPECT_DOUBLE_EQ(official("three", "a", 2).average_precision, 1.0);
  EXPECT_EQ(official("three", "f", 2).fault, OfficialFault::none) << "no label found, nothing to divide";
}

TEST_F(MetricsTest, OneLookServesEveryN) {
  const std::vector<int32_t> items = ranked("dacfbeZ");
  Hits hits(truth_);
  for (const char* id : {"cup", "twice", "three", "absent", "none", "cup"}) {
    hits.find(query(id), items, 10);
    for (const int64_t n : {7, 1, 3, 10}) {
      const OfficialScores once = official(id, "dacfbeZ", n), again = hits.official(n);
      EXPECT_EQ(once.average_precision, again.average_precision) << id << n;
      EXPECT_EQ(once.precision, again.precision) << id << n;
      EXPECT_EQ(once.average_recall, again.average_recall) << id << n;
      EXPECT_EQ(once.fault, again.fault) << id << n;
    }
  }
}

TEST_F(MetricsTest, StrictIsTheStandardDefinition) {
  const StrictScores scores = strict_scores(truth_, query("twice"), ranked("dacf"), 3);
  EXPECT_DOUBLE_EQ(scores.average_precision, (1.0 / 2 + 2.0 / 3) / 3);
  EXPECT_DOUBLE_EQ(scores.precision, 2.0 / 3);
  EXPECT_DOUBLE_EQ(scores.recall, 2.0 / 4);
  EXPECT_EQ(scores.hit_rate, 1.0);
  EXPECT_EQ(scores.label_coverage, 0.5);
  EXPECT_DOUBLE_EQ(strict_scores(truth_, query("cup"), ranked("a"), 10).precision, 0.1) << "hits over N, not over k";
  EXPECT_DOUBLE_EQ(strict_scores(truth_, query("cup"), ranked("ace"), 10).average_precision, 1.0);
  EXPECT_EQ(strict_scores(truth_, query("cup"), ranked("bdf"), 3).hit_rate, 0.0);
}

TEST_F(MetricsTest, RPrecisionAndReciprocalRankReadTheWholeRanking) {
  EXPECT_DOUBLE_EQ(r_precision(truth_, query("cup"), ranked("bacde")), 2.0 / 3);
  EXPECT_DOUBLE_EQ(r_precision(truth_, query("cup"), ranked("a")), 1.0 / 3);
  EXPECT_DOUBLE_EQ(reciprocal_rank(truth_, query("cup"), ranked("bdfa")), 1.0 / 4);
  EXPECT_EQ(reciprocal_rank(truth_, query("cup"), ranked("bdf")), 0.0);
}

/// make_trec_cases.py wrote these.
TEST(Strict, AgreesWithTrecEval) {
  const Json file = read_json(std::string(CAPTURE_TEST_DATA) + "/retrieval/trec_cases.json").root;
  for (const Json& one : file.at("cases")) {
    std::vector<std::pair<std::string, std::vector<std::string>>> gallery;
    for (const int label : one.at("gallery"))
      gallery.push_back({std::to_string(gallery.size()), {std::to_string(label)}});
    std::vector<std::string> labels;
    for (const int label : one.at("query")) labels.push_back(std::to_string(label));
    const GroundTruth truth(list_of("gallery", gallery), std::vector{list_of("query", {{"q", labels}})});
    const auto ranking = one.at("ranking").get<std::vector<int32_t>>();
    const Json& expected = one.at("expected");
    for (const int64_t n : file.at("depths")) {
      const StrictScores scores = strict_scores(truth, truth.query(0), ranking, n);
      EXPECT_EQ(scores.precision, expected.at("P_" + std::to_string(n)).get<double>()) << one;
      EXPECT_EQ(scores.recall, expected.at("recall_" + std::to_string(n)).get<double>()) << one;
    }
    EXPECT_EQ(r_precision(truth, truth.query(0), ranking), expected.at("Rprec").get<double>()) << one;
    EXPECT_EQ(reciprocal_rank(truth, truth.query(0), ranking), expected.at("recip_rank").get<double>()) << one;
  }
}

}  // namespace
}  // namespace capture
