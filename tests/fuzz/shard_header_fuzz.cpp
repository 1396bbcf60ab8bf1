// Any bytes as a shard: whatever they are, they are refused in words or read inside their own bounds.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/data/shard.h"

namespace {

/// Sets the file's size and the header's checksum to what they should be: few inputs would get past them otherwise.
std::string mended(const uint8_t* data, size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (size < 32) return bytes;
  const uint64_t file_bytes = size;
  std::memcpy(&bytes[24], &file_bytes, sizeof file_bytes);
  uint64_t json_bytes = 0;
  std::memcpy(&json_bytes, &bytes[8], sizeof json_bytes);
  if (json_bytes > size - 32) return bytes;
  const uint64_t digest = capture::checksum(std::string_view(bytes).substr(32, json_bytes));
  std::memcpy(&bytes[16], &digest, sizeof digest);
  return bytes;
}

void look_at(const capture::SampleView& sample) {
  for (int64_t title = 0; title < sample.title_count(); ++title) {
    std::vector<int32_t> ids;
    if (const auto stored = sample.token_ids(title)) stored->append_to(ids);
  }
  sample.titles();
  sample.labels();
  std::vector<float> values;
  for (int64_t v = 0; v < sample.view_count(); ++v) {
    const capture::RegionsView regions = sample.regions(v);
    values.resize(static_cast<size_t>(regions.count * regions.feature_width));
    regions.copy_features(values.data());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int file = ::memfd_create("shard", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  const std::string bytes = mended(data, size);
  if (::ftruncate(file, 0) != 0 || ::pwrite(file, bytes.data(), bytes.size(), 0) < 0) return 0;
  try {
    const capture::Shard shard(path);
    shard.verify([](const std::string&) {});
    for (int64_t i = 0; i < shard.size(); ++i) {
      try {
        look_at(shard.sample(i));
      } catch (const capture::UserError&) {
      }
    }
  } catch (const capture::UserError&) {
  }
  return 0;
}
