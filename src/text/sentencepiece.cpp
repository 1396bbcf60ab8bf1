#include "sentencepiece.h"

#include <dlfcn.h>

#include <filesystem>

#include "capture/base/error.h"
#include "capture/text/vocabulary_training.h"
#include "sentencepiece/module.h"

namespace capture {

namespace {

// Its own symbols first, so that no other protobuf of the process stands in for its own. AddressSanitizer cannot load
// anything that way.
#ifdef __SANITIZE_ADDRESS__
constexpr int kLoading = RTLD_NOW | RTLD_LOCAL;
#else
constexpr int kLoading = RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND;
#endif

/// The module's entry of that name; the module stays loaded.
template <typename Function>
Function* entry(const char* name) {
  static const std::filesystem::path path =
      std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "lib" /
      "libcapture_sentencepiece.so";
  void* const module = ::dlopen(path.c_str(), kLoading);
  void* const symbol = module == nullptr ? nullptr : ::dlsym(module, name);
  if (symbol == nullptr) {
    throw UserError({.what = std::string("cannot be loaded: ") + ::dlerror(),
                     .where = path.string(),
                     .hint = "build it with tools/build, and keep the lib folder beside bin"});
  }
  return reinterpret_cast<Function*>(symbol);
}

}  // namespace

std::unique_ptr<Tokenizer> load_sentencepiece(const TokenizerOptions& options) {
  const auto load = entry<decltype(capture_sentencepiece_load)>("capture_sentencepiece_load");
  return std::unique_ptr<Tokenizer>(load(options.file));
}

std::string train_sentencepiece(const std::function<bool(std::string&)>& next_title,
                                const VocabularyTrainingOptions& options) {
  const auto train = entry<decltype(capture_sentencepiece_train)>("capture_sentencepiece_train");
  std::string model;
  train(next_title, options, model);
  return model;
}

void VocabularyTrainingOptions::visit(FieldVisitor& f) {
  f.choice("model", model, "How pieces are chosen: the unigram language model, or byte-pair merges.",
           {{"unigram", PieceModel::unigram}, {"bpe", PieceModel::bpe}});
  f.field("vocabulary_size", vocabulary_size, "Pieces, the five special tokens among them.", {6, 1 << 20});
  f.field("character_coverage", character_coverage,
          "Share of all characters in the titles that get a piece; the rarest of the others become [UNK].",
          {0.98, 1.0});
  f.field("lower_case", lower_case, "Lower-case titles; the model remembers it.");
}

}  // namespace capture
