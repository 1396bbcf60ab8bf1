#include <gmock/gmock.h>

#include <cstring>
#include <random>
#include <thread>

#include "capture/base/config.h"
#include "capture/text/tokenizer.h"
#include "capture/text/vocabulary_training.h"
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

const std::string kTitles = CAPTURE_TEST_DATA "/text/wordpiece/titles.txt";

std::vector<std::string> some_titles() {
  auto titles = lines_of(testing::read(kTitles));
  titles.resize(600);
  return titles;
}

std::string train(const std::vector<std::string>& titles, const VocabularyTrainingOptions& options) {
  size_t at = 0;
  return train_sentencepiece(
      [&](std::string& title) {
        if (at == titles.size()) return false;
        title = titles[at++];
        return true;
      },
      options);
}

std::unique_ptr<Tokenizer> load(const std::string& model) {
  const Folder folder;
  return load_tokenizer({.type = TokenizerType::sentencepiece, .file = folder.file("m.model", model)});
}

class TrainedVocabulary : public ::testing::TestWithParam<PieceModel> {};

TEST_P(TrainedVocabulary, HoldsTheSpecialTokensWhereCaptureWantsThem) {
  const auto tokenizer = load(train(some_titles(), {.model = GetParam(), .vocabulary_size = 1200}));
  EXPECT_EQ(tokenizer->vocabulary_size(), 1200);
  const SpecialTokens s = tokenizer->specials();
  EXPECT_THAT((Ids{s.pad, s.unknown, s.cls, s.sep, s.mask}), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(tokenizer->piece(s.mask), "[MASK]");
}

TEST_P(TrainedVocabulary, GivesTitlesBack) {
  const auto titles = some_titles();
  const auto tokenizer =
      load(train(titles, {.model = GetParam(), .vocabulary_size = 1300, .character_coverage = 1, .lower_case = false}));
  for (const std::string title : {"AHC B5", "韩国正品"}) EXPECT_EQ(tokenizer->decode(tokenizer->encode(title)), title);
  for (const auto& title : titles) {
    const Ids ids = tokenizer->encode(title);
    // Normalisation may change a title once, never twice.
    EXPECT_EQ(tokenizer->encode(tokenizer->decode(ids)), ids) << title;
  }
}

TEST_P(TrainedVocabulary, IsTheSameForTheSameTitles) {
  const VocabularyTrainingOptions options{.model = GetParam(), .vocabulary_size = 1200};
  EXPECT_EQ(train(some_titles(), options), train(some_titles(), options));
}

INSTANTIATE_TEST_SUITE_P(Models, TrainedVocabulary, ::testing::Values(PieceModel::unigram, PieceModel::bpe),
                         [](const auto& info) { return info.param == PieceModel::unigram ? "Unigram" : "Bpe"; });

TEST(SentencePiece, TakesSpecialTokensInATitleAsText) {
  const auto tokenizer = load(train(some_titles(), {.vocabulary_size = 1200}));
  for (const int32_t id : tokenizer->encode("a[MASK]b[PAD][SEP]")) {
    EXPECT_TRUE(id == 1 || id > 4) << id;
  }
}

TEST(SentencePiece, FramesCutsAndDecodes) {
  const auto tokenizer = load(train(some_titles(), {.vocabulary_size = 1200}));
  const std::string title = some_titles().front();
  const Ids all = encode_with_specials(*tokenizer, title);
  ASSERT_GT(all.size(), 5u);
  EXPECT_EQ(all.front(), 2);
  EXPECT_EQ(all.back(), 3);
  Ids four(all.begin(), all.begin() + 3);
  four.push_back(3);
  EXPECT_EQ(encode_with_specials(*tokenizer, title, 4), four);
  EXPECT_EQ(tokenizer->decode(all), tokenizer->decode(tokenizer->encode(title)));
  EXPECT_THAT(encode_with_specials(*tokenizer, ""), ElementsAre(2, 3));
  EXPECT_THAT(error_of([&] { tokenizer->decode(Ids{1200}); }), HasSubstr("0 to 1199"));
}

TEST(SentencePiece, GivesEveryThreadTheSameIdsWhateverTheBytes) {
  const auto tokenizer = load(train(some_titles(), {.vocabulary_size = 1200}));
  auto titles = lines_of(testing::read(CAPTURE_TEST_DATA "/text/wordpiece/hostile.txt"));
  titles.push_back(std::string("a\0b\xFF\xC0\x80\xED\xA0\x80", 9));
  std::vector<std::vector<Ids>> found(4);
  {
    std::vector<std::jthread> threads;
    for (auto& mine : found) {
      threads.emplace_back([&] {
        for (const auto& title : titles) mine.push_back(tokenizer->encode(title));
      });
    }
  }
  for (const auto& mine : found) EXPECT_EQ(mine, found.front());
}

TEST(SentencePiece, ChangesItsFingerprintWithTheModel) {
  const std::string one = train(some_titles(), {.vocabulary_size = 1200});
  EXPECT_EQ(load(one)->fingerprint(), load(one)->fingerprint());
  EXPECT_NE(load(one)->fingerprint(), load(train(some_titles(), {.vocabulary_size = 1201}))->fingerprint());
}

TEST(SentencePiece, RefusesFilesThatAreNoModel) {
  EXPECT_THAT(error_of([] { load(""); }), AllOf(HasSubstr("m.model"), HasSubstr("capture_tokenizer train")));
  EXPECT_THAT(error_of([] { load("[PAD]\n[UNK]\n"); }), HasSubstr("no sentencepiece model"));
  EXPECT_THAT(error_of([] { load_tokenizer({.type = TokenizerType::sentencepiece, .file = "none.model"}); }),
              HasSubstr("none.model"));
  const std::string model = train(some_titles(), {.vocabulary_size = 1200});
  const Folder folder;
  EXPECT_THAT(error_of([&] { load_tokenizer({.file = folder.file("m.model", model)}); }),
              AllOf(HasSubstr("binary"), HasSubstr("type sentencepiece")));
}

TEST(SentencePiece, RefusesAModelWithoutASpecialToken) {
  std::string model = train(some_titles(), {.vocabulary_size = 1200});
  for (size_t at; (at = model.find("[MASK]")) != std::string::npos;) model.replace(at, 6, "[TASK]");
  EXPECT_THAT(error_of([&] { load(model); }), HasSubstr("no piece [MASK]"));
}

/// Where the character replacements begin in a model: the trie's size in 4 bytes, then its units of 4 bytes.
size_t replacements_of(const std::string& model) {
  const std::string name = "nmt_nfkc_cf";
  size_t at = model.find(name) + name.size() + 1;  // past the tag of the next field
  while ((model[at] & 0x80) != 0) ++at;            // and its length
  return at + 1;
}

TEST(SentencePiece, RefusesReplacementsThatLeadOutsideTheirTable) {
  const std::string model = train(some_titles(), {.vocabulary_size = 1200});
  const size_t table = replacements_of(model);
  uint32_t size;
  std::memcpy(&size, &model[table], 4);
  ASSERT_LT(table + size, model.size());

  std::string texts_outside = model;
  std::string no_end = model;
  for (size_t unit = table + 4; unit < table + 4 + size; unit += 4) {
    // The highest bit marks a leaf, whose other bits say where its text stands.
    if ((texts_outside[unit + 3] & 0x80) != 0) texts_outside.replace(unit, 4, "\xF0\xFF\xFF\xFF");
    if ((no_end[unit + 3] & 0x80) == 0) no_end[unit + 3] = '\x7F';  // children far away
  }
  std::string longer = model;
  longer.replace(table, 4, "\xFC\xFF\xFF\x7F");
  for (const auto& hostile : {texts_outside, no_end, longer}) {
    EXPECT_THAT(error_of([&] { load(hostile); }), HasSubstr("a damaged one"));
  }
}

TEST(SentencePiece, SurvivesDamagedModels) {
  const std::string model = train(some_titles(), {.vocabulary_size = 1200});
  std::mt19937 random(3);
  for (int round = 0; round < 120; ++round) {
    std::string damaged = model;
    if (round % 3 == 0) {
      damaged.resize(random() % damaged.size());
    } else {
      // The pieces stand at the front, the specification at the end, the character map between.
      const size_t reach = round % 3 == 1 ? 2000 : damaged.size();
      for (int flips = 0; flips < 3; ++flips) damaged[random() % reach] ^= static_cast<char>(1u << random() % 8);
    }
    // Refused with a sentence, or usable: the ids it gives are its own.
    error_of([&] {
      const auto tokenizer = load(damaged);
      for (const int32_t id : encode_with_specials(*tokenizer, "AHC 黄金面霜 İß")) {
        ASSERT_GE(id, 0);
        ASSERT_LT(id, tokenizer->vocabulary_size());
      }
    });
  }
}

TEST(TrainSentencePiece, SaysWhatSizeTheTitlesAllow) {
  EXPECT_THAT(error_of([] { train({}, {}); }), HasSubstr("no title"));
  EXPECT_THAT(error_of([] { train({"", ""}, {}); }), HasSubstr("no title"));
  EXPECT_THAT(error_of([] { train(some_titles(), {.vocabulary_size = 100'000}); }),
              AllOf(HasSubstr("vocabulary_size 100000"), HasSubstr("<=")));
  EXPECT_THAT(error_of([] { train(some_titles(), {.vocabulary_size = 100}); }),
              AllOf(HasSubstr("vocabulary_size 100"), HasSubstr("smaller than required")));
}

TEST(TrainSentencePiece, LetsTheSourcesErrorThrough) {
  EXPECT_THAT(error_of([] {
                int given = 0;
                train_sentencepiece(
                    [&](std::string& title) -> bool {
                      if (++given == 5) throw UserError({.what = "the source broke", .where = "line 5"});
                      title = "some title";
                      return true;
                    },
                    {.vocabulary_size = 20});
              }),
              HasSubstr("line 5: the source broke"));
}

TEST(TokenizerOptions, AreReadFromAConfiguration) {
  TokenizerOptions options;
  read_options(parse_json(R"({"type": "sentencepiece", "file": "m.model", "lower_case": false,
                              "strip_accents": "yes", "space_cjk": false, "specials_in_text": false})",
                          "c.json"),
               options);
  EXPECT_EQ(options.type, TokenizerType::sentencepiece);
  EXPECT_EQ(options.file, "m.model");
  EXPECT_EQ(options.strip_accents, AccentStripping::yes);
  EXPECT_FALSE(options.lower_case || options.space_cjk || options.specials_in_text);
}

}  // namespace
}  // namespace capture
