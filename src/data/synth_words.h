// The invented language of synthetic titles.
#pragma once

#include <cstdint>
#include <string>

namespace capture::synth {

/// Words are spelled from pieces of five letters, so that WordPiece can only cut them where they were put together.
/// Fillers are one piece; names (of brands, categories, attributes, products) are two, a start and a "##continuation",
/// and no two names are alike.
class Words {
 public:
  static constexpr int64_t kSpecialTokens = 5;
  static constexpr int64_t kMaxVocabulary = 200000;

  explicit Words(int64_t vocabulary_size);

  int64_t fillers() const { return fillers_; }
  /// How many names there are to give.
  int64_t names() const { return starts_ * continuations_; }

  /// 0 <= index < fillers().
  std::string filler(int64_t index) const;
  /// 0 <= index < names().
  std::string name(int64_t index) const;

  /// One piece a line.
  std::string vocabulary() const;

 private:
  int64_t fillers_;
  int64_t starts_;
  int64_t continuations_;
};

}  // namespace capture::synth
