#include <sentencepiece_processor.h>

#include <algorithm>
#include <array>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "model_check.h"
#include "module.h"
#include "status.h"
#include "text/vocabulary.h"

namespace capture {

namespace {

constexpr uint64_t kMaxModelBytes = uint64_t{256} << 20;

namespace sp = sentencepiece;

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& reason) {
  throw UserError({.what = reason.empty() ? "is no sentencepiece model, or a damaged one"
                                          : "is not a sentencepiece model that can be used: " + reason,
                   .where = path.string(),
                   .hint = "make one with capture_tokenizer train"});
}

class SentencePiece final : public Tokenizer {
 public:
  explicit SentencePiece(const std::filesystem::path& path) {
    const std::string model = read_file(path, kMaxModelBytes);
    if (!has_safe_tables(model)) fail(path, "");
    std::string problem;
    try {
      problem = processor_.LoadFromSerializedProto(model).ToString();
    } catch (const std::exception&) {  // an empty piece, which its trie throws out
      fail(path, "");
    }
    if (problem != "OK") fail(path, reason_of(problem));
    fingerprint_ = to_hex(checksum("sentencepiece\n" + model));
    specials_ = {.pad = special(path, kPad, processor_.pad_id()),
                 .unknown = processor_.unk_id(),
                 .cls = special(path, kCls, processor_.bos_id()),
                 .sep = special(path, kSep, processor_.eos_id()),
                 .mask = special(path, kMask, -1)};
    std::array ids{specials_.pad, specials_.unknown, specials_.cls, specials_.sep, specials_.mask};
    std::ranges::sort(ids);
    if (ids.front() < 0 || std::ranges::adjacent_find(ids) != ids.end()) {
      throw UserError({.what = "two special tokens of the model share one piece", .where = path.string()});
    }
  }

  void append(std::string_view text, std::vector<int32_t>& ids, size_t limit) const override {
    std::vector<int> found;
    const auto status = processor_.Encode(text, &found);
    if (!status.ok()) throw UserError({.what = "sentencepiece cannot encode a title: " + status.ToString()});
    if (found.size() > limit) found.resize(limit);
    ids.insert(ids.end(), found.begin(), found.end());
  }

  std::string decode(std::span<const int32_t> ids) const override {
    std::vector<int> kept;
    for (const int32_t id : ids) {
      piece(id);  // refuses an id that there is not
      if (!processor_.IsControl(id)) kept.push_back(id);
    }
    return processor_.DecodeIds(kept);
  }

  std::string_view piece(int32_t id) const override {
    if (id < 0 || id >= vocabulary_size()) fail_no_piece(id, vocabulary_size());
    return processor_.IdToPiece(id);
  }

  int64_t vocabulary_size() const override { return processor_.GetPieceSize(); }
  SpecialTokens specials() const override { return specials_; }
  std::string fingerprint() const override { return fingerprint_; }

 private:
  /// The piece of that name, else the one that sentencepiece itself has for the purpose.
  int32_t special(const std::filesystem::path& path, const char* name, int32_t otherwise) const {
    const int32_t id = processor_.PieceToId(name);
    if (id != processor_.unk_id()) return id;
    if (otherwise < 0) fail_missing_special(path, name);
    return otherwise;
  }

  sp::SentencePieceProcessor processor_;
  SpecialTokens specials_;
  std::string fingerprint_;
};

}  // namespace

std::string reason_of(const std::string& status) {
  const size_t condition = status.find("] ");
  const size_t code = status.find(": ");
  const size_t start = condition != std::string::npos ? condition + 2 : code != std::string::npos ? code + 2 : 0;
  return status.substr(start);
}

}  // namespace capture

capture::Tokenizer* capture_sentencepiece_load(const std::string& file) {
  return new capture::SentencePiece(file);
}
