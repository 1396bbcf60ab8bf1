#include "wordpiece.h"

#include <unicode/utf8.h>

#include <algorithm>
#include <array>

#include "capture/base/files.h"
#include "characters.h"
#include "piece_trie.h"
#include "vocabulary.h"

namespace capture {

namespace {

constexpr size_t kMaxWordCharacters = 100;
constexpr std::string_view kContinuationMark = "##";

std::u32string characters_of(std::string_view text) {
  std::u32string characters;
  for (size_t at = 0; at < text.size();) {
    UChar32 c;
    U8_NEXT(text.data(), at, text.size(), c);
    characters.push_back(static_cast<char32_t>(c));
  }
  return characters;
}

/// What a pass over a text needs to know, fixed when the tokenizer is loaded.
struct Rules {
  Characters characters;
  PieceTrie trie;
  int32_t unknown = 0;
  bool lower_case = true;
  bool strip_accents = true;
  bool space_cjk = true;
};

/// One text on its way from bytes to ids.
class Pass {
 public:
  Pass(const Rules& rules, std::vector<int32_t>& ids, size_t limit)
      : rules_(rules), ids_(ids), first_(ids.size()), limit_(limit) {}

  bool full() const { return ids_.size() - first_ >= limit_; }

  void run(std::string_view text) {
    for (size_t at = 0; at < text.size() && !full();) {
      UChar32 decoded;
      U8_NEXT(text.data(), at, text.size(), decoded);
      if (decoded < 0) continue;  // not UTF-8: stands for U+FFFD, which the clean-up drops
      const auto c = static_cast<char32_t>(decoded);
      const uint8_t flags = rules_.characters[c];
      if (flags == 0) {
        settle();
        put(c);
      } else if ((flags & Characters::kDropped) == 0) {
        clean(c, flags);
      }
    }
    settle();
    end_word();
    ids_.resize(std::min(ids_.size(), first_ + std::min(limit_, ids_.size())));
  }

 private:
  /// A character that is kept and not plain.
  void clean(char32_t c, uint8_t flags) {
    if ((flags & Characters::kSpace) != 0) {
      settle();
      end_word();
    } else if ((flags & Characters::kIdeograph) != 0 && rules_.space_cjk) {
      settle();
      end_word();
      if ((flags & ~Characters::kIdeograph) == 0) {
        single(c);
      } else {
        decompose(c, flags);
        end_word();
      }
    } else {
      decompose(c, flags);
    }
  }

  void decompose(char32_t c, uint8_t flags) {
    if (!rules_.strip_accents || (flags & Characters::kReordered) == 0) {
      settle();
      split(c, flags);
      return;
    }
    Characters::Decomposition parts;
    for (const char32_t part : Characters::decompose(c, parts)) {
      const uint8_t order = Characters::combining_class(part);
      if (order != 0) {
        // An accent is about to be dropped: where among its neighbours it would have stood is no matter.
        if ((rules_.characters[part] & Characters::kMark) == 0) waiting_.push_back({part, order});
      } else {
        settle();
        split(part, rules_.characters[part]);
      }
    }
  }

  /// NFD sorts each run of combining characters by combining class: at the run's end, hand it on.
  void settle() {
    if (!waiting_.empty()) reorder();
  }

  void reorder() {
    std::ranges::stable_sort(waiting_, {}, &Combining::order);
    for (const Combining& each : waiting_) split(each.character, rules_.characters[each.character]);
    waiting_.clear();
  }

  void split(char32_t c, uint8_t flags) {
    if (rules_.strip_accents && (flags & Characters::kMark) != 0) return;
    if ((flags & Characters::kSpace) != 0) {
      end_word();
    } else if ((flags & Characters::kPunctuation) != 0) {
      end_word();
      single(c);
    } else if (rules_.lower_case && (flags & Characters::kUpper) != 0) {
      put(Characters::lower(c));
      if (c == 0x130) put(0x307);  // the one lower case of two characters
    } else {
      put(c);
    }
  }

  void put(char32_t c) {
    if (length_ < word_.size()) word_[length_] = c;
    ++length_;
  }

  /// A word of one character.
  void single(char32_t c) {
    const int32_t id = rules_.trie.step(PieceTrie::kWordStart, c).id;
    ids_.push_back(id == PieceTrie::kNone ? rules_.unknown : id);
  }

  void end_word() {
    if (length_ == 0) return;
    const size_t before = ids_.size();
    std::u32string_view rest(word_.data(), length_ <= word_.size() ? length_ : 0);
    bool whole = !rest.empty();
    for (uint32_t root = PieceTrie::kWordStart; whole && !rest.empty(); root = PieceTrie::kContinuation) {
      const PieceTrie::Match match = rules_.trie.longest(root, rest);
      whole = match.length > 0;
      rest.remove_prefix(match.length);
      ids_.push_back(match.id);
    }
    if (!whole) {
      ids_.resize(before);
      ids_.push_back(rules_.unknown);
    }
    length_ = 0;
  }

  struct Combining {
    char32_t character;
    uint8_t order;
  };

  const Rules& rules_;
  std::vector<int32_t>& ids_;
  size_t first_;
  size_t limit_;
  std::array<char32_t, kMaxWordCharacters> word_;
  size_t length_ = 0;  // may exceed the room in word_: such a word is unknown
  std::vector<Combining> waiting_;
};

class WordPiece final : public Tokenizer {
 public:
  explicit WordPiece(const TokenizerOptions& options) : vocabulary_(read_vocabulary(options.file)) {
    rules_.unknown = vocabulary_.specials.unknown;
    rules_.lower_case = options.lower_case;
    rules_.strip_accents = options.strip_accents == AccentStripping::automatic
                               ? options.lower_case
                               : options.strip_accents == AccentStripping::yes;
    rules_.space_cjk = options.space_cjk;
    specials_in_text_ = options.specials_in_text;
    for (size_t id = 0; id < vocabulary_.pieces.size(); ++id) {
      std::u32string piece = characters_of(vocabulary_.pieces[id]);
      const bool inside = piece.size() > 2 && piece.starts_with(U"##");
      if (inside) piece.erase(0, 2);
      if (piece.size() > kMaxWordCharacters) continue;
      rules_.trie.insert(inside ? PieceTrie::kContinuation : PieceTrie::kWordStart, piece, static_cast<int32_t>(id));
    }
  }

  void append(std::string_view text, std::vector<int32_t>& ids, size_t limit) const override {
    const size_t first = ids.size();
    while (ids.size() - first < limit) {
      const Special special = specials_in_text_ ? find_special(text) : Special{};
      Pass(rules_, ids, limit - (ids.size() - first)).run(text.substr(0, special.at));
      if (special.at == std::string_view::npos || ids.size() - first >= limit) return;
      ids.push_back(special.id);
      text.remove_prefix(special.at + special.length);
    }
  }

  std::string decode(std::span<const int32_t> ids) const override {
    std::string text;
    for (const int32_t id : ids) {
      const SpecialTokens& s = vocabulary_.specials;
      if (id == s.pad || id == s.cls || id == s.sep || id == s.mask) continue;
      const std::string_view written = piece(id);
      if (written.size() > kContinuationMark.size() && written.starts_with(kContinuationMark)) {
        text += written.substr(kContinuationMark.size());
      } else {
        if (!text.empty()) text += ' ';
        text += written;
      }
    }
    return text;
  }

  std::string_view piece(int32_t id) const override {
    if (id < 0 || id >= vocabulary_size()) fail_no_piece(id, vocabulary_size());
    return vocabulary_.pieces[static_cast<size_t>(id)];
  }

  int64_t vocabulary_size() const override { return static_cast<int64_t>(vocabulary_.pieces.size()); }
  SpecialTokens specials() const override { return vocabulary_.specials; }

  std::string fingerprint() const override {
    std::string all = "wordpiece";
    for (const bool option : {rules_.lower_case, rules_.strip_accents, rules_.space_cjk, specials_in_text_}) {
      all += option ? '1' : '0';
    }
    for (const std::string& piece : vocabulary_.pieces) (all += '\n') += piece;
    return to_hex(checksum(all));
  }

 private:
  struct Special {
    size_t at = std::string_view::npos;
    size_t length = 0;
    int32_t id = 0;
  };

  Special find_special(std::string_view text) const {
    const SpecialTokens& s = vocabulary_.specials;
    const std::pair<std::string_view, int32_t> names[] = {
        {kPad, s.pad}, {kUnknown, s.unknown}, {kCls, s.cls}, {kSep, s.sep}, {kMask, s.mask}};
    for (size_t at = text.find('['); at != std::string_view::npos; at = text.find('[', at + 1)) {
      for (const auto& [name, id] : names) {
        if (text.substr(at).starts_with(name)) return {at, name.size(), id};
      }
    }
    return {};
  }

  Vocabulary vocabulary_;
  Rules rules_;
  bool specials_in_text_ = true;
};

}  // namespace

std::unique_ptr<Tokenizer> load_wordpiece(const TokenizerOptions& options) {
  return std::make_unique<WordPiece>(options);
}

}  // namespace capture
