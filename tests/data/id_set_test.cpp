#include "../../src/data/id_set.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace capture {
namespace {

TEST(IdSet, FindsEveryIdAgainAndNoOther) {
  std::vector<std::string> ids;
  for (int i = 0; i < 5000; ++i) ids.push_back("item-" + std::to_string(i));
  const auto id_at = [&](int64_t place) -> std::string_view { return ids[static_cast<size_t>(place)]; };
  IdSet set;
  for (int64_t i = 0; i < 5000; ++i) EXPECT_EQ(set.insert(id_at(i), i, id_at), std::nullopt);
  for (int64_t i = 0; i < 5000; ++i) EXPECT_EQ(set.insert(id_at(i), 9999, id_at), i);
}

TEST(IdSet, TellsIdsOfOneHashApart) {
  const std::vector<std::string> ids = {"a", "b", "c"};
  const auto id_at = [&](int64_t place) -> std::string_view { return ids[static_cast<size_t>(place)]; };
  IdSet set;
  // The last slot of any table, so that the search wraps around.
  constexpr uint64_t kHash = ~uint64_t{0};
  for (int64_t i = 0; i < 3; ++i) EXPECT_EQ(set.insert(kHash, id_at(i), i, id_at), std::nullopt);
  for (int64_t i = 0; i < 3; ++i) EXPECT_EQ(set.insert(kHash, id_at(i), 7, id_at), i);
}

TEST(IdSet, KnowsIdsThatWereAddedWithoutALook) {
  const auto id_at = [](int64_t place) { return "item-" + std::to_string(place); };
  IdSet set;
  for (int64_t i = 0; i < 3000; ++i) set.insert_new(checksum(id_at(i)), i);
  for (int64_t i = 0; i < 3000; ++i) EXPECT_EQ(set.insert(id_at(i), 9999, id_at), i);
  EXPECT_EQ(set.insert("item-3000", 3000, id_at), std::nullopt);
}

}  // namespace
}  // namespace capture
