#include "synth_words.h"

#include <string_view>

namespace capture::synth {

namespace {

/// Five letters, consonants and vowels in turn; one for each index below Words::kMaxVocabulary.
std::string spell(int64_t index) {
  static constexpr std::string_view kConsonants = "bcdfghjklmnpqrstvwxz";
  static constexpr std::string_view kVowels = "aeiou";
  // A factor prime to the number of words: neighbours look nothing alike.
  auto rest = static_cast<size_t>(index * 77773 % Words::kMaxVocabulary);
  std::string word;
  for (int i = 0; i < 5; ++i) {
    const std::string_view letters = i % 2 == 0 ? kConsonants : kVowels;
    word.push_back(letters[rest % letters.size()]);
    rest /= letters.size();
  }
  return word;
}

}  // namespace

Words::Words(int64_t vocabulary_size) {
  const int64_t pieces = vocabulary_size - kSpecialTokens;
  continuations_ = pieces / 8;
  fillers_ = (pieces - continuations_) / 2;
  starts_ = pieces - continuations_ - fillers_;
}

std::string Words::filler(int64_t index) const {
  return spell(index);
}

std::string Words::name(int64_t index) const {
  const int64_t start = index % starts_;
  // Names of one start differ in their round, hence in their end.
  return spell(fillers_ + start) + spell((start + index / starts_) % continuations_);
}

std::string Words::vocabulary() const {
  std::string text = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
  for (int64_t i = 0; i < fillers_ + starts_; ++i) text += spell(i) + "\n";
  for (int64_t i = 0; i < continuations_; ++i) text += "##" + spell(i) + "\n";
  return text;
}

}  // namespace capture::synth
