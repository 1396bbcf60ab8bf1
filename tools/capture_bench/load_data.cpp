#include "load_data.h"

#include <cstdlib>
#include <string>
#include <vector>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/data/shard_writer.h"
#include "capture/tensor/random.h"

namespace capture {

namespace {

constexpr uint32_t kFirstIdeograph = 0x4E00;
constexpr uint32_t kIdeographs = 20902;
constexpr int64_t kEntries = 21128;

void append_utf8(std::string& text, uint32_t ideograph) {
  text += static_cast<char>(0xE0 | ideograph >> 12);
  text += static_cast<char>(0x80 | (ideograph >> 6 & 0x3F));
  text += static_cast<char>(0x80 | (ideograph & 0x3F));
}

/// Numbers to cut features from: drawing each anew would take longer than writing it.
std::vector<float> draw_numbers(RandomStream& random, size_t count) {
  std::vector<float> numbers(count);
  for (float& number : numbers) number = random.uniform() * 4.0F;
  return numbers;
}

void draw_regions(RandomStream& random, const ShardLayout& layout, const std::vector<float>& numbers, Regions& out) {
  out.image_width = 800;
  out.image_height = 800;
  out.boxes.clear();
  for (int64_t r = 0; r < layout.max_regions; ++r) {
    const auto x = static_cast<float>(random.below(400));
    const auto y = static_cast<float>(random.below(400));
    out.boxes.insert(out.boxes.end(), {x, y, x + 1 + static_cast<float>(random.below(400)),
                                       y + 1 + static_cast<float>(random.below(400))});
  }
  const auto count = static_cast<size_t>(layout.max_regions * layout.feature_width);
  const size_t start = random.below(static_cast<uint32_t>(numbers.size() - count));
  const auto first = numbers.begin() + static_cast<std::ptrdiff_t>(start);
  out.features.assign(first, first + static_cast<std::ptrdiff_t>(count));
}

}  // namespace

ScratchFolder::ScratchFolder(std::filesystem::path parent) {
  std::error_code error;
  if (parent.empty()) parent = std::filesystem::temp_directory_path(error);
  std::string name = (parent / "capture_bench_XXXXXX").string();
  if (error || ::mkdtemp(name.data()) == nullptr) {
    throw UserError({.what = "cannot make a folder for the benchmark's data",
                     .where = parent.string(),
                     .hint = "name a folder to write in with --scratch"});
  }
  path_ = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void write_vocabulary(const std::filesystem::path& file) {
  std::string text = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
  for (uint32_t i = 0; i < kIdeographs; ++i) {
    append_utf8(text, kFirstIdeograph + i);
    text += '\n';
  }
  for (int64_t i = 5 + int64_t{kIdeographs}; i < kEntries; ++i) text += "word" + std::to_string(i) + '\n';
  write_file(file, text);
}

void write_pairs(const std::filesystem::path& file, const ShardLayout& layout, int64_t samples) {
  RandomStream random(42, 0, 0);
  const auto count = static_cast<size_t>(layout.max_regions * layout.feature_width);
  const std::vector<float> numbers = draw_numbers(random, 2 * count + (1U << 20));
  ShardWriter writer(file, layout, {{"tool", "capture_bench load"}});
  Sample sample{.titles = {{}}, .views = {{}}};
  for (int64_t i = 0; i < samples; ++i) {
    sample.id = std::to_string(i);
    sample.titles[0].clear();
    for (uint32_t left = 3 + random.below(32); left > 0; --left) {
      append_utf8(sample.titles[0], kFirstIdeograph + random.below(kIdeographs));
    }
    draw_regions(random, layout, numbers, sample.views[0]);
    writer.add(sample);
  }
  writer.finish();
}

}  // namespace capture
