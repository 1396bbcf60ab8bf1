#include <gmock/gmock.h>

#include <random>
#include <thread>

#include "capture/text/tokenizer.h"
#include "common/testing.h"

namespace capture {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::error_of;
using testing::Folder;
using ::testing::HasSubstr;
using testing::lines_of;

using Ids = std::vector<int32_t>;

const std::string kData = CAPTURE_TEST_DATA "/text/wordpiece/";
const std::string kSpecials = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";

/// A tokenizer over the special tokens (0 to 4) and `pieces` (from 5 on).
std::unique_ptr<Tokenizer> tokenizer_of(const std::vector<std::string>& pieces, TokenizerOptions options = {}) {
  const Folder folder;
  std::string text = kSpecials;
  for (const auto& piece : pieces) text += piece + "\n";
  options.file = folder.file("vocab.txt", text);
  return load_tokenizer(options);
}

std::string load_error(const std::string& text) {
  const Folder folder;
  const std::string file = folder.file("vocab.txt", text);
  return error_of([&] { load_tokenizer({.file = file}); });
}

std::string joined(const Ids& ids) {
  std::string text;
  for (const int32_t id : ids) {
    if (!text.empty()) text += ' ';
    text += std::to_string(id);
  }
  return text;
}

/// Every line of `lines` gives the ids that the reference gave.
void expect_ids(const TokenizerOptions& options, const std::string& lines, const std::string& ids) {
  const auto tokenizer = load_tokenizer(options);
  const auto titles = lines_of(testing::read(kData + lines));
  const auto expected = lines_of(testing::read(kData + ids));
  ASSERT_EQ(titles.size(), expected.size());
  for (size_t i = 0; i < titles.size(); ++i) {
    EXPECT_EQ(joined(encode_with_specials(*tokenizer, titles[i])), expected[i]) << lines << ":" << i + 1;
  }
}

TEST(WordPiece, EqualsTheReferenceOnRealTitles) {
  expect_ids({.file = kData + "vocab.txt"}, "titles.txt", "titles.ids");
}

TEST(WordPiece, EqualsTheReferenceOnHostileUnicode) {
  expect_ids({.file = kData + "vocab.txt"}, "hostile.txt", "hostile.ids");
}

TEST(WordPiece, EqualsTheReferenceUnderEachOption) {
  const std::string file = kData + "vocab.txt";
  expect_ids({.file = file, .lower_case = false}, "hostile.txt", "hostile.cased.ids");
  expect_ids({.file = file, .lower_case = false, .strip_accents = AccentStripping::yes}, "hostile.txt",
             "hostile.cased_stripped.ids");
  expect_ids({.file = file, .strip_accents = AccentStripping::no}, "hostile.txt", "hostile.accents.ids");
  expect_ids({.file = file, .space_cjk = false}, "hostile.txt", "hostile.no_cjk_spacing.ids");
}

TEST(WordPiece, TakesTheLongestPieceAndGivesUpOnTheWholeWord) {
  const auto tokenizer = tokenizer_of({"un", "##aff", "##able", "##affable", "unaf", "a"});
  EXPECT_THAT(tokenizer->encode("unaffable"), ElementsAre(1)) << "the longest first piece leaves no way on";
  EXPECT_THAT(tokenizer->encode("unable"), ElementsAre(5, 7));
  EXPECT_THAT(tokenizer->encode("a unx a"), ElementsAre(10, 1, 10));
}

TEST(WordPiece, ReadsTheMarkOfAContinuationOnlyInsideAWord) {
  const auto tokenizer = tokenizer_of({"#", "##", "##a", "a"});
  EXPECT_THAT(tokenizer->encode("##a"), ElementsAre(5, 5, 8));
  EXPECT_THAT(tokenizer->encode("aa"), ElementsAre(8, 7));
}

TEST(WordPiece, TakesBytesThatAreNotUtf8AsTheReplacementCharacter) {
  const auto tokenizer = load_tokenizer({.file = kData + "vocab.txt"});
  const std::string replaced = "sk\xEF\xBF\xBDii 中\xEF\xBF\xBD文";
  for (const std::string broken : {"sk\xFFii 中\x80文", "sk\xC3ii 中\xE4\xB8文", "sk\xED\xA0\x80ii 中\xF5文",
                                   "sk\xC0\x80ii 中\xF4\x90\x80\x80文\xF0\x9F"}) {
    EXPECT_EQ(tokenizer->encode(broken), tokenizer->encode(replaced));
  }
}

TEST(WordPiece, SurvivesRandomBytes) {
  const auto tokenizer = load_tokenizer({.file = kData + "vocab.txt"});
  std::mt19937 random(5);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 300, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() % 3 == 0 ? random() % 128 : random() % 256);
    for (const int32_t id : tokenizer->encode(bytes)) {
      ASSERT_GE(id, 0);
      ASSERT_LT(id, tokenizer->vocabulary_size());
    }
  }
}

TEST(WordPiece, TakesTitlesOfAnyLength) {
  const auto tokenizer = tokenizer_of({"a", "中"});
  std::string accents = "a";
  for (int i = 0; i < 300'000; ++i) accents += "\u302e\u302f\u0301";  // combining characters that NFD must sort
  EXPECT_THAT(tokenizer->encode(accents), ElementsAre(1));
  EXPECT_THAT(tokenizer->encode(std::string(1'000'000, 'a')), ElementsAre(1));
  std::string ideographs;
  for (int i = 0; i < 300'000; ++i) ideographs += "中";
  EXPECT_EQ(tokenizer->encode(ideographs), Ids(300'000, 6));
}

TEST(WordPiece, ReadsSpecialTokensInATitleUnlessTold) {
  const auto as_reference = tokenizer_of({"[", "]", "mask", "a"});
  EXPECT_THAT(as_reference->encode("a[MASK]a [mask]"), ElementsAre(8, 4, 8, 5, 7, 6));
  const auto as_text = tokenizer_of({"[", "]", "mask", "a"}, {.specials_in_text = false});
  EXPECT_THAT(as_text->encode("a[MASK]a"), ElementsAre(8, 5, 7, 6, 8));
}

TEST(WordPiece, StopsAtTheLimitWithTheSameIds) {
  const auto tokenizer = load_tokenizer({.file = kData + "vocab.txt"});
  for (const auto& line : lines_of(testing::read(kData + "hostile.txt"))) {
    const Ids all = tokenizer->encode(line);
    for (size_t limit = 0; limit <= all.size() + 1; limit += 1 + limit / 8) {
      Ids some{7, 7};
      tokenizer->append(line, some, limit);
      Ids expected{7, 7};
      expected.insert(expected.end(), all.begin(), all.begin() + static_cast<int64_t>(std::min(limit, all.size())));
      ASSERT_EQ(some, expected) << line << " at " << limit;
    }
  }
}

TEST(WordPiece, GivesEveryThreadTheSameIds) {
  const auto tokenizer = load_tokenizer({.file = kData + "vocab.txt"});
  const auto titles = lines_of(testing::read(kData + "hostile.txt"));
  std::vector<std::vector<Ids>> found(4);
  {
    std::vector<std::jthread> threads;
    for (auto& mine : found) {
      threads.emplace_back([&] {
        for (const auto& title : titles) mine.push_back(encode_with_specials(*tokenizer, title, 36));
      });
    }
  }
  for (const auto& mine : found) EXPECT_EQ(mine, found.front());
}

TEST(WordPiece, DecodesWordsAndLeavesOutSpecialTokens) {
  const auto tokenizer = tokenizer_of({"serum", "24", "##k"});
  EXPECT_EQ(tokenizer->decode(Ids{2, 6, 7, 5, 1, 4, 3, 0}), "24k serum [UNK]");
  EXPECT_THAT(error_of([&] { tokenizer->decode(Ids{8}); }), AllOf(HasSubstr("id 8"), HasSubstr("0 to 7")));
  EXPECT_THAT(error_of([&] { tokenizer->piece(-1); }), HasSubstr("id -1"));
}

TEST(WordPieceVocabulary, AcceptsWindowsLineEndsAMarkAndBlankLinesAtTheEnd) {
  const auto plain = tokenizer_of({"a", "##b"});
  const Folder folder;
  const auto windows = load_tokenizer(
      {.file = folder.file("v.txt", "\xEF\xBB\xBF[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n[MASK]\r\na\r\n##b\r\n\r\n\n")});
  EXPECT_EQ(windows->encode("ab a"), plain->encode("ab a"));
  EXPECT_EQ(windows->vocabulary_size(), 7);
  EXPECT_EQ(windows->fingerprint(), plain->fingerprint());
  EXPECT_EQ(load_tokenizer({.file = folder.file("w.txt", kSpecials + "a\n##b")})->fingerprint(), plain->fingerprint());
}

TEST(WordPieceVocabulary, NamesTheLineThatIsAtFault) {
  EXPECT_THAT(load_error(kSpecials + "a\nb\na\n"),
              AllOf(HasSubstr("vocab.txt:8"), HasSubstr("\"a\" stands twice"), HasSubstr("line 6")));
  EXPECT_THAT(load_error(kSpecials + "a\n\nb\n"), AllOf(HasSubstr("vocab.txt:7"), HasSubstr("blank line")));
  EXPECT_THAT(load_error(kSpecials + "a\n\xFF\n"), AllOf(HasSubstr("vocab.txt:7"), HasSubstr("not UTF-8")));
  EXPECT_THAT(load_error(kSpecials + std::string("a\0b\n", 4)), HasSubstr("binary"));
}

TEST(WordPieceVocabulary, RefusesOneWithoutASpecialToken) {
  EXPECT_THAT(load_error("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n"), HasSubstr("no piece [MASK]"));
  EXPECT_THAT(load_error("[UNK]\n[CLS]\n[SEP]\n[MASK]\n"), HasSubstr("no piece [PAD]"));
  EXPECT_THAT(load_error(""), HasSubstr("no piece [PAD]"));
}

TEST(WordPieceVocabulary, RefusesFilesThatAreNone) {
  const Folder folder;
  EXPECT_THAT(error_of([&] { load_tokenizer({.file = folder.path("none.txt")}); }), HasSubstr("none.txt"));
  EXPECT_THAT(error_of([&] { load_tokenizer({.file = folder.path("")}); }), HasSubstr("folder"));
  EXPECT_THAT(error_of([] { load_tokenizer({}); }), HasSubstr("tokenizer.file"));
  const std::string giant = folder.file("giant.txt", "");
  std::filesystem::resize_file(giant, uint64_t{1} << 40);
  EXPECT_THAT(error_of([&] { load_tokenizer({.file = giant}); }), HasSubstr("at most"));
}

TEST(WordPieceVocabulary, KeepsTheIdsOfPiecesThatCanNeverMatch) {
  const auto tokenizer = tokenizer_of({std::string(400, 'x'), "\u3000", "##", "a"});
  EXPECT_THAT(tokenizer->encode("a"), ElementsAre(8));
  EXPECT_THAT(tokenizer->encode(std::string(400, 'x') + "\u3000"), ElementsAre(1));
}

TEST(WordPieceFingerprint, ChangesWithWhateverChangesIds) {
  std::vector<std::string> seen;
  seen.push_back(tokenizer_of({"a", "b"})->fingerprint());
  seen.push_back(tokenizer_of({"b", "a"})->fingerprint());
  seen.push_back(tokenizer_of({"a"})->fingerprint());
  seen.push_back(tokenizer_of({"a", "b"}, {.lower_case = false})->fingerprint());
  seen.push_back(tokenizer_of({"a", "b"}, {.strip_accents = AccentStripping::no})->fingerprint());
  seen.push_back(tokenizer_of({"a", "b"}, {.space_cjk = false})->fingerprint());
  seen.push_back(tokenizer_of({"a", "b"}, {.specials_in_text = false})->fingerprint());
  std::ranges::sort(seen);
  EXPECT_EQ(std::ranges::adjacent_find(seen), seen.end());
  EXPECT_EQ(tokenizer_of({"a", "b"})->fingerprint(),
            tokenizer_of({"a", "b"}, {.strip_accents = AccentStripping::yes})->fingerprint());
}

TEST(EncodeWithSpecials, FramesTheTitleAndKeepsToTheLimit) {
  const auto tokenizer = tokenizer_of({"a", "b"});
  EXPECT_THAT(encode_with_specials(*tokenizer, "a b a"), ElementsAre(2, 5, 6, 5, 3));
  EXPECT_THAT(encode_with_specials(*tokenizer, "a b a", 4), ElementsAre(2, 5, 6, 3));
  EXPECT_THAT(encode_with_specials(*tokenizer, "a b a", 2), ElementsAre(2, 3));
  EXPECT_THAT(encode_with_specials(*tokenizer, ""), ElementsAre(2, 3));
  EXPECT_THAT(error_of([&] { encode_with_specials(*tokenizer, "a", 1); }), HasSubstr("at least 2"));
}

}  // namespace
}  // namespace capture
