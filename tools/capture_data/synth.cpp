// capture_data synth: a synthetic twin of Product1M, of any size.
#include "capture/data/synth.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "capture/base/config.h"
#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/in_order.h"
#include "capture/base/progress.h"
#include "capture/data/shard_set_writer.h"
#include "capture/text/tokenizer.h"
#include "commands.h"
#include "common/choice.h"

namespace capture {

namespace {

namespace fs = std::filesystem;

struct Arguments {
  SynthOptions world;
  fs::path output;
  // As many as Product1M has, but for the training pairs, of which it has 1,182,083.
  int64_t train = 100000;
  int64_t gallery = 40033;
  int64_t queries = 6547;
  FeatureType feature_type = FeatureType::float16;
  int64_t shard_samples = 0;
  int64_t workers = std::max(1U, std::thread::hardware_concurrency());
  bool force = false;
};

struct Part {
  SynthPart part;
  const char* name;
  int64_t samples;
};

/// What the bytes of a part depend on.
Json source_of(const Arguments& a, const Part& part) {
  Json source = Json::object();
  source["world"] = to_json(a.world);
  source["part"] = part.name;
  source["samples"] = part.samples;
  return source;
}

/// As many as are worth a thread's turn, about 4 MB of them.
int64_t samples_a_piece(const ShardLayout& layout) {
  constexpr int64_t kNumbers = 1 << 20;
  return std::clamp<int64_t>(kNumbers / (layout.max_regions * layout.feature_width), 1, 1000);
}

struct Written {
  uintmax_t bytes = 0;  // of the whole part
  bool before = true;   // by an earlier run, all of it
};

/// Writes the part, or what is still missing of it.
Written write_part(const Arguments& a, const SynthWorld& world, const Tokenizer& tokenizer, const Part& part) {
  const ShardLayout layout{.feature_width = a.world.feature_width,
                           .max_regions = a.world.regions,
                           .feature_type = a.feature_type,
                           .tokenizer = mark_of(tokenizer)};
  const Json origin = {{"tool", "capture_data synth " CAPTURE_VERSION}, {"world", to_json(a.world)}};
  const fs::path folder = a.output / part.name;
  ShardSetWriter writer(folder, layout, origin,
                        {.shard_samples = a.shard_samples, .source = source_of(a, part), .start_over = a.force});
  Written written{.bytes = 0, .before = writer.complete()};
  ProgressBar progress(part.name, part.samples, "samples");
  const int64_t first = writer.size();
  const int64_t step = samples_a_piece(layout);
  const auto pieces = static_cast<size_t>((part.samples - first + step - 1) / step);
  in_order(
      pieces, static_cast<size_t>(a.workers),
      [&](size_t piece) {
        const int64_t begin = first + static_cast<int64_t>(piece) * step;
        std::vector<EncodedSample> samples;
        Sample sample;
        for (int64_t i = begin; i < std::min(begin + step, part.samples); ++i) {
          world.draw(part.part, i, sample);
          add_token_ids(tokenizer, sample);
          samples.push_back(encode(layout, sample));
        }
        return samples;
      },
      [&](size_t, std::vector<EncodedSample> samples) {
        for (EncodedSample& sample : samples) writer.add(std::move(sample));
        progress.update(writer.size());
      });
  writer.finish();
  for (const auto& file : fs::directory_iterator(folder)) written.bytes += file.file_size();
  return written;
}

/// The vocabulary goes first: a world beside another's vocabulary would be no use to anybody.
void write_vocabulary(const fs::path& path, const std::string& vocabulary, bool force) {
  if (is_there(path) && !force && read_file(path) != vocabulary) {
    throw UserError({.what = "is of another world, or was changed",
                     .where = path.string(),
                     .hint = "give that world's options, choose another folder, or replace this one with --force"});
  }
  write_file(path, vocabulary);
}

void run(const Arguments& a) {
  const auto start = std::chrono::steady_clock::now();
  if (a.queries > 0 && a.gallery < a.world.products) {
    throw UserError({.what = fmt::format("{} gallery items cannot show {} products, of which queries may ask for any",
                                         a.gallery, a.world.products),
                     .where = "--gallery",
                     .allowed = fmt::format("{} or more", a.world.products),
                     .hint = "or fewer --products"});
  }
  const SynthWorld world(a.world);
  make_folder(a.output);
  const fs::path vocabulary = a.output / "vocab.txt";
  write_vocabulary(vocabulary, world.vocabulary(), a.force);
  const std::unique_ptr<Tokenizer> tokenizer = load_tokenizer({.file = vocabulary});
  Written all{.bytes = 0, .before = a.train + a.gallery + a.queries > 0};
  for (const Part& part : {Part{SynthPart::train, "train", a.train}, Part{SynthPart::gallery, "gallery", a.gallery},
                           Part{SynthPart::queries, "queries", a.queries}}) {
    if (part.samples == 0) continue;
    const Written written = write_part(a, world, *tokenizer, part);
    all.bytes += written.bytes;
    all.before = all.before && written.before;
  }
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  fmt::print("{}: {} training pairs, a gallery of {} and {} queries of {} products, {:.1f} MB, {}\n", a.output.string(),
             a.train, a.gallery, a.queries, a.world.products, static_cast<double>(all.bytes) * 1e-6,
             all.before ? "were made before" : fmt::format("in {:.1f} s", time.count()));
}

}  // namespace

void add_synth(CLI::App& app) {
  CLI::App* command = app.add_subcommand("synth", "A synthetic twin of Product1M, of any size.");
  const auto arguments = std::make_shared<Arguments>();
  Arguments& a = *arguments;
  const auto count = [&](const std::string& flag, int64_t& value, const std::string& help) {
    command->add_option(flag, value, help)->capture_default_str()->check(CLI::Range(int64_t{0}, int64_t{999999999}));
  };
  const auto option = [&](const std::string& flag, int64_t& value, const std::string& help) {
    command->add_option(flag, value, help)->capture_default_str();
  };
  command->add_option("--output", a.output, "Folder to make, or to go on in: train, gallery, queries, vocab.txt")
      ->required()
      ->type_name("DIR");
  count("--train", a.train, "Training pairs, without labels");
  count("--gallery", a.gallery, "Gallery items, of one product each");
  count("--queries", a.queries, "Queries, of one to twelve products");
  option("--products", a.world.products, "Products: labels");
  option("--regions", a.world.regions, "Regions a photo");
  option("--feature-width", a.world.feature_width, "Numbers a region");
  option("--vocabulary-size", a.world.vocabulary_size, "Pieces of the vocabulary");
  option("--seed", a.world.seed, "Another seed is another world");
  command->add_option("--feature-type", a.feature_type, "Stored precision")
      ->transform(one_of(std::map<std::string, FeatureType>{
          {"float16", FeatureType::float16}, {"float32", FeatureType::float32}, {"int8", FeatureType::int8}}))
      ->type_name("TEXT")
      ->default_str("float16");
  count("--shard-samples", a.shard_samples, "Samples a shard; 0: 4 GB of them");
  command->add_option("--workers", a.workers, "Threads; the bytes do not depend on them")->check(CLI::Range(1, 256));
  command->add_flag("--force", a.force, "Replace what is in the folder");
  command->footer(
      "Example: capture_data synth --output data/synth --train 20000 --gallery 2000 --queries 400 --feature-width 256\n"
      "A run that was stopped goes on when it is started again with the same options.");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace capture
