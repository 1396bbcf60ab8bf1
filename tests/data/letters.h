// A tokenizer for tests: one token a byte.
#pragma once

#include <algorithm>

#include "capture/text/tokenizer.h"

namespace capture {

class Letters : public Tokenizer {
 public:
  static constexpr int32_t kFirst = 5;

  void append(std::string_view text, std::vector<int32_t>& ids, size_t limit = kNoLimit) const override {
    for (const char letter : text.substr(0, std::min(limit, text.size()))) {
      ids.push_back(kFirst + static_cast<unsigned char>(letter));
    }
  }
  std::string decode(std::span<const int32_t> ids) const override {
    std::string text;
    for (const int32_t id : ids) {
      if (id >= kFirst) text += static_cast<char>(id - kFirst);
    }
    return text;
  }
  std::string_view piece(int32_t) const override { return {}; }
  int64_t vocabulary_size() const override { return kFirst + 256; }
  SpecialTokens specials() const override { return {.pad = 0, .unknown = 1, .cls = 2, .sep = 3, .mask = 4}; }
  std::string fingerprint() const override { return "letters"; }
};

}  // namespace capture
