#include <unistd.h>

#include <charconv>
#include <memory>
#include <vector>

#include "capture/text/titles.h"
#include "capture_tokenizer/commands.h"

namespace capture {

namespace {

constexpr size_t kWriteBytes = size_t{1} << 18;

struct Options {
  TokenizerOptions tokenizer;
  bool ids = false;
  size_t max_tokens = 0;
};

void encode(const Options& options) {
  const auto tokenizer = load_tokenizer(options.tokenizer);
  LineReader lines(STDIN_FILENO, "standard input");
  const size_t limit = options.max_tokens == 0 ? Tokenizer::kNoLimit : options.max_tokens;
  std::string output;
  std::string_view title;
  for (;;) {
    // A person or a program that waits for its answer before the next title gets it.
    if (!lines.ready() || output.size() >= kWriteBytes) {
      print(output);
      output.clear();
    }
    if (!lines.next(title)) break;
    for (const int32_t id : encode_with_specials(*tokenizer, title, limit)) {
      if (options.ids) {
        char digits[12];
        char* end = std::to_chars(digits, digits + sizeof digits, id).ptr;
        *end++ = ' ';
        output.append(digits, end);
      } else {
        (output += tokenizer->piece(id)) += ' ';
      }
    }
    output.back() = '\n';  // there is at least [CLS], and a space after it
  }
  print(output);
}

}  // namespace

void add_encode(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App& command =
      *app.add_subcommand("encode", "Titles on standard input to tokens on standard output, a line each");
  add_tokenizer_options(command, options->tokenizer);
  command.add_flag("--ids", options->ids, "Print ids instead of pieces");
  command.add_option("--max-tokens", options->max_tokens, "Cut titles to this many tokens, [CLS] and [SEP] among them")
      ->check(CLI::Range(size_t{2}, size_t{1} << 20))
      ->option_text("N");
  command.footer(
      "Every line, an empty one too, gives one line: [CLS], the title's tokens, [SEP].\n"
      "Example: capture_tokenizer encode --type wordpiece --vocab vocab.txt --ids < titles.txt > ids.txt");
  command.callback([options] { encode(*options); });
}

}  // namespace capture
