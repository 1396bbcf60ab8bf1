// Samples and folders for the data room's tests.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/data/shard_writer.h"
#include "capture/tensor/random.h"

namespace capture {

/// A new folder, removed at the end of the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "capture_data_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) all.push_back(entry.path().filename());
    return all;
  }

 private:
  std::filesystem::path path_;
};

/// The layout of the samples below.
inline ShardLayout small_layout(FeatureType type = FeatureType::float16) {
  return {.feature_width = 10, .max_regions = 5, .max_views = 2, .class_count = 3, .feature_type = type};
}

/// small_layout with token ids: of each title, its bytes.
inline ShardLayout layout_with_ids(FeatureType type = FeatureType::float16) {
  ShardLayout layout = small_layout(type);
  layout.tokenizer = {.fingerprint = "letters", .vocabulary_size = 256};
  return layout;
}

/// Values that float16 holds exactly, so that both feature types can be compared with ==.
inline std::vector<float> exact_values(RandomStream& random, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(static_cast<int32_t>(random.below(2001)) - 1000) / 64.0F;
  return values;
}

inline Regions make_regions(const ShardLayout& layout, RandomStream& random, int64_t count) {
  Regions regions{.image_width = 640, .image_height = 480 + static_cast<int64_t>(random.below(100))};
  for (int64_t r = 0; r < count; ++r) {
    const auto x = static_cast<float>(random.below(300));
    const auto y = static_cast<float>(random.below(200));
    for (const float value : {x, y, x + 1 + static_cast<float>(random.below(300)), y + 250}) {
      regions.boxes.push_back(value);
    }
  }
  regions.features = exact_values(random, count * layout.feature_width);
  regions.classes = exact_values(random, count * layout.class_count);
  return regions;
}

/// Sample `number`: 1 to max_regions regions, 1 to max_views views, a title of 0 to 30 letters, 0 to 3 labels.
inline Sample make_sample(const ShardLayout& layout, int64_t number) {
  RandomStream random(7, 0, static_cast<uint64_t>(number));
  Sample sample;
  sample.id = "item-" + std::to_string(number);
  std::string title;
  for (uint32_t letters = random.below(31); letters > 0; --letters) {
    title += letters % 5 == 0 ? ' ' : static_cast<char>('a' + random.below(26));
  }
  sample.titles = {title};
  if (number % 3 == 0) sample.titles.push_back("第二个标题 " + title);
  for (uint32_t labels = random.below(4); labels > 0; --labels) {
    sample.labels.push_back("product " + std::to_string(random.below(3)));
  }
  const auto views = 1 + random.below(static_cast<uint32_t>(layout.max_views));
  for (uint32_t v = 0; v < views; ++v) {
    sample.views.push_back(make_regions(
        layout, random, 1 + static_cast<int64_t>(random.below(static_cast<uint32_t>(layout.max_regions)))));
  }
  if (layout.tokenizer.vocabulary_size > 0) {
    for (const auto& words : sample.titles) {
      auto& ids = sample.token_ids.emplace_back();
      for (const char letter : words) ids.push_back(static_cast<unsigned char>(letter));
    }
  }
  if (number % 2 == 0) sample.thumbnail = std::string("\xFF\xD8\xFF") + std::string(random.below(50), 'j');
  return sample;
}

/// A shard of make_sample(layout, first) and the next.
inline void write_samples(const std::filesystem::path& path, const ShardLayout& layout, int64_t count,
                          int64_t first = 0) {
  ShardWriter writer(path, layout, {{"made by", "a test"}});
  for (int64_t i = 0; i < count; ++i) writer.add(make_sample(layout, first + i));
  writer.finish();
}

/// What verify says of a shard.
inline std::vector<std::string> problems_of(const std::filesystem::path& path) {
  std::vector<std::string> problems;
  Shard(path).verify([&](const std::string& problem) { problems.push_back(problem); });
  return problems;
}

/// The message of the UserError that `run` throws, or "" if it throws none.
template <class Run>
std::string error_of(const Run& run) {
  try {
    run();
  } catch (const UserError& error) {
    return error.what();
  }
  return {};
}

}  // namespace capture
