#include "capture/base/error.h"

#include <gtest/gtest.h>

namespace capture {
namespace {

TEST(UserError, SaysItsPartsInOneSentence) {
  EXPECT_STREQ(UserError({.what = "is 3", .where = "c.json:4", .allowed = "0 to 2", .hint = "choose less"}).what(),
               "c.json:4: is 3; allowed: 0 to 2; choose less");
  EXPECT_STREQ(UserError({.what = "no titles"}).what(), "no titles");
  EXPECT_STREQ(UserError({.what = "no titles", .hint = "give some"}).what(), "no titles; give some");
  EXPECT_EQ(UserError({.what = "is 3", .where = "c.json:4"}).parts().where, "c.json:4");
}

TEST(NearestWord, FindsASlipAndNothingFarther) {
  const std::vector<std::string> known = {"layers", "heads", "hidden_size"};
  EXPECT_EQ(nearest_word("layer", known), "layers");
  EXPECT_EQ(nearest_word("laeyrs", known), "layers");
  EXPECT_EQ(nearest_word("hidden", known), "");
  EXPECT_EQ(nearest_word("hiden_sice", known), "hidden_size");
  EXPECT_EQ(nearest_word("temperature", known), "");
  EXPECT_EQ(nearest_word("heads", {}), "");
  EXPECT_EQ(nearest_word(std::string(100'000, 'x'), known), "") << "a hostile key costs nothing";
}

}  // namespace
}  // namespace capture
