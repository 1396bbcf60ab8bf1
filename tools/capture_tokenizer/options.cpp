#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>

#include "capture/base/error.h"
#include "capture_tokenizer/commands.h"
#include "common/choice.h"

namespace capture {

void add_tokenizer_options(CLI::App& command, TokenizerOptions& options) {
  command.add_option("--type", options.type, "How titles are cut: wordpiece (BERT) or sentencepiece")
      ->transform(one_of<TokenizerType>(
          {{"wordpiece", TokenizerType::wordpiece}, {"sentencepiece", TokenizerType::sentencepiece}}))
      ->option_text("TYPE [wordpiece]");
  command.add_option("--vocab", options.file, "Vocabulary (one piece a line) or sentencepiece model")
      ->required()
      ->option_text("FILE");
  const std::string group = "WordPiece";
  command
      .add_flag_callback(
          "--cased", [&] { options.lower_case = false; }, "Keep upper case")
      ->group(group);
  command.add_option("--strip-accents", options.strip_accents, "Drop accents: yes, no, or auto (unless --cased)")
      ->transform(one_of<AccentStripping>(
          {{"auto", AccentStripping::automatic}, {"yes", AccentStripping::yes}, {"no", AccentStripping::no}}))
      ->option_text("HOW [auto]")
      ->group(group);
  command
      .add_flag_callback(
          "--no-cjk-spacing", [&] { options.space_cjk = false; }, "Do not make every CJK ideograph a word")
      ->group(group);
  command
      .add_flag_callback(
          "--specials-as-text", [&] { options.specials_in_text = false; },
          "\"[MASK]\" in a title is text like any other")
      ->group(group);
}

void print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::write(STDOUT_FILENO, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      throw UserError({.what = std::string("cannot be written: ") + std::strerror(errno), .where = "standard output"});
    }
    text.remove_prefix(static_cast<size_t>(put));
  }
}

}  // namespace capture
