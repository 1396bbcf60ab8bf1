#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "capture/base/json.h"
#include "capture/text/titles.h"
#include "capture_tokenizer/commands.h"

namespace capture {

namespace {

constexpr size_t kMaxCountedLength = 256;  // longer titles share the last count
constexpr size_t kBarWidth = 40;

struct Options {
  TokenizerOptions tokenizer;
  std::string titles;
  bool json = false;
};

/// What a pass over titles tells of a vocabulary. Lengths count [CLS] and [SEP].
struct Coverage {
  int64_t titles = 0;
  int64_t tokens = 0;               // [CLS] and [SEP] not counted
  int64_t unknown = 0;              // tokens that are [UNK]
  int64_t titles_with_unknown = 0;  //
  int64_t pieces_used = 0;          // different pieces met
  std::vector<int64_t> lengths = std::vector<int64_t>(kMaxCountedLength + 1);

  /// The smallest length that at least `share` of all titles do not exceed.
  size_t quantile(double share) const {
    int64_t seen = 0;
    for (size_t length = 0; length < lengths.size(); ++length) {
      seen += lengths[length];
      if (static_cast<double>(seen) >= share * static_cast<double>(titles)) return length;
    }
    return lengths.size() - 1;
  }

  double share(int64_t part, int64_t whole) const {
    return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
  }
};

Coverage measure(const Tokenizer& tokenizer, const std::string& path) {
  TitleReader reader(path);
  Coverage coverage;
  const int32_t unknown = tokenizer.specials().unknown;
  std::vector<bool> used(static_cast<size_t>(tokenizer.vocabulary_size()));
  std::string title;
  std::vector<int32_t> ids;
  while (reader.next(title)) {
    ids.clear();
    tokenizer.append(title, ids);
    const auto missed = std::ranges::count(ids, unknown);
    ++coverage.titles;
    coverage.tokens += static_cast<int64_t>(ids.size());
    coverage.unknown += missed;
    coverage.titles_with_unknown += missed > 0 ? 1 : 0;
    ++coverage.lengths[std::min(ids.size() + 2, kMaxCountedLength)];
    for (const int32_t id : ids) used[static_cast<size_t>(id)] = true;
  }
  coverage.pieces_used = std::ranges::count(used, true);
  return coverage;
}

Json to_json(const Tokenizer& tokenizer, const Options& options, const Coverage& coverage) {
  const SpecialTokens s = tokenizer.specials();
  Json json = {
      {"vocabulary_size", tokenizer.vocabulary_size()},
      {"fingerprint", tokenizer.fingerprint()},
      {"specials", {{"pad", s.pad}, {"unknown", s.unknown}, {"cls", s.cls}, {"sep", s.sep}, {"mask", s.mask}}}};
  if (options.titles.empty()) return json;
  json["titles"] = coverage.titles;
  json["tokens"] = coverage.tokens;
  json["unknown_share"] = coverage.share(coverage.unknown, coverage.tokens);
  json["titles_with_unknown_share"] = coverage.share(coverage.titles_with_unknown, coverage.titles);
  json["pieces_used"] = coverage.pieces_used;
  json["mean_length"] = coverage.share(coverage.tokens + 2 * coverage.titles, coverage.titles);
  for (const double share : {0.5, 0.9, 0.99, 1.0}) {
    json["length_quantiles"].push_back({{"share", share}, {"length", coverage.quantile(share)}});
  }
  json["lengths"] = coverage.lengths;
  return json;
}

void print_line(const char* label, const std::string& value) {
  char line[256];
  std::snprintf(line, sizeof line, "%-24s %s\n", label, value.c_str());
  print(line);
}

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f %%", 100 * share);
  return text;
}

/// One bar a range of lengths, as wide a range as keeps the picture within a screen.
void print_histogram(const Coverage& coverage) {
  const size_t longest = coverage.quantile(1);
  const size_t step = longest / 20 + 1;
  std::vector<int64_t> bars(longest / step + 1);
  for (size_t length = 0; length <= longest; ++length) bars[length / step] += coverage.lengths[length];
  const int64_t tallest = std::max<int64_t>(1, std::ranges::max(bars));
  print("\ntokens a title, [CLS] and [SEP] among them\n");
  for (size_t i = 0; i < bars.size(); ++i) {
    const bool open = (i + 1) * step > kMaxCountedLength;
    char range[64];
    std::snprintf(range, sizeof range, "%4zu–%-4s %9lld  ", i * step,
                  open ? "" : std::to_string((i + 1) * step - 1).c_str(), static_cast<long long>(bars[i]));
    std::string line = range;
    const auto width = static_cast<size_t>(bars[i] * static_cast<int64_t>(kBarWidth) / tallest);
    for (size_t k = 0; k < width; ++k) line += "█";
    print(line + "\n");
  }
}

void inspect(const Options& options) {
  const auto tokenizer = load_tokenizer(options.tokenizer);
  Coverage coverage;
  if (!options.titles.empty()) coverage = measure(*tokenizer, options.titles);
  if (options.json) {
    print(to_line(to_json(*tokenizer, options, coverage)) + "\n");
    return;
  }
  const SpecialTokens s = tokenizer->specials();
  print_line("vocabulary size", std::to_string(tokenizer->vocabulary_size()));
  print_line("fingerprint", tokenizer->fingerprint());
  for (const auto& [label, id] : {std::pair{"padding", s.pad},
                                  {"unknown", s.unknown},
                                  {"title begins", s.cls},
                                  {"title ends", s.sep},
                                  {"mask", s.mask}}) {
    print_line(label, std::to_string(id) + "  " + std::string(tokenizer->piece(id)));
  }
  if (options.titles.empty()) return;
  print("\n");
  print_line("titles", std::to_string(coverage.titles));
  print_line("tokens", std::to_string(coverage.tokens));
  print_line("unknown tokens", percent(coverage.share(coverage.unknown, coverage.tokens)));
  print_line("titles with unknown", percent(coverage.share(coverage.titles_with_unknown, coverage.titles)));
  print_line("pieces used", std::to_string(coverage.pieces_used) + "  " +
                                percent(coverage.share(coverage.pieces_used, tokenizer->vocabulary_size())));
  std::string lengths;
  for (const auto& [name, share] : {std::pair{"half", 0.5}, {"90 %", 0.9}, {"99 %", 0.99}, {"all", 1.0}}) {
    lengths += std::string(lengths.empty() ? "" : ", ") + name + " ≤ " + std::to_string(coverage.quantile(share));
  }
  print_line("length", lengths);
  print_histogram(coverage);
}

}  // namespace

void add_inspect(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App& command =
      *app.add_subcommand("inspect", "A vocabulary's size and special tokens, and how well it covers titles");
  add_tokenizer_options(command, options->tokenizer);
  command.add_option("--titles", options->titles, "Titles to try it on: text, .jsonl, or a Product1M list")
      ->option_text("FILE");
  command.add_flag("--json", options->json, "One line of JSON");
  command.footer("Example: capture_tokenizer inspect --type wordpiece --vocab vocab.txt --titles titles.txt");
  command.callback([options] { inspect(*options); });
}

}  // namespace capture
