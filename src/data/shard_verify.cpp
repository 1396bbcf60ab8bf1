#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/in_order.h"
#include "shard_impl.h"

namespace capture {

namespace {

/// "bytes 65536 to 131071 (samples 3 to 5)": what a block of checksummed bytes holds.
std::string describe_block(const ShardHeader& header, int64_t from, int64_t to) {
  std::string text = "bytes " + std::to_string(from) + " to " + std::to_string(to - 1);
  std::string holds;
  if (from < header.blobs_at) {
    const int64_t first = (from - header.records_at) / header.record_bytes;
    const int64_t last = (std::min(to, header.blobs_at) - 1 - header.records_at) / header.record_bytes;
    holds = first == last ? "sample " + std::to_string(first)
                          : "samples " + std::to_string(first) + " to " + std::to_string(last);
  }
  if (to > header.blobs_at) holds += std::string(holds.empty() ? "" : ", ") + "texts and thumbnails";
  return text + " (" + holds + ")";
}

/// What was found in a stretch of blocks.
struct Stretch {
  std::vector<std::string> problems = {};
  std::vector<std::pair<int64_t, uint64_t>> ids = {};  // of the samples that can be read, with their checksums
  int64_t samples = 0;                                 // whose records end at or before its end
};

/// How many records end at or before this byte.
int64_t records_until(const ShardHeader& header, int64_t byte) {
  return std::clamp<int64_t>((byte - header.records_at) / header.record_bytes, 0, header.samples);
}

void check_sample(const Shard& shard, const std::string& where, int64_t index, Stretch& found) {
  try {
    const SampleView view = shard.sample(index);
    found.ids.emplace_back(index, checksum(view.id()));
    const std::string problem = find_problem(view);
    if (!problem.empty()) found.problems.push_back(where + " (\"" + std::string(view.id()) + "\"): " + problem);
  } catch (const UserError& error) {
    found.problems.emplace_back(error.what());
  }
}

}  // namespace

void Shard::verify(const std::function<void(const std::string&)>& problem, const VerifyOptions& options) const {
  const ShardHeader& header = impl_->header;
  const std::string file = impl_->path.string();
  const auto table = impl_->bytes(header.checksums_at, static_cast<int64_t>(impl_->file.size()));
  if (to_hex(checksum(table)) != header.checksums_checksum) {
    problem(file + ": the table of checksums, bytes " + std::to_string(header.checksums_at) + " to " +
            std::to_string(impl_->file.size() - 1) + ", does not match its own checksum");
  }

  // A block is read for its checksum, and the samples that end in it are looked at while it is still in the cache.
  const int64_t block_bytes = header.checksum_block_bytes;
  const auto check_blocks = [&](int64_t first, int64_t end) {
    Stretch found;
    for (int64_t block = first; block < end; ++block) {
      const int64_t from = header.records_at + block * block_bytes;
      const int64_t to = std::min(from + block_bytes, header.checksums_at);
      uint64_t expected = 0;
      std::memcpy(&expected, table.data() + block * 8, sizeof expected);
      if (checksum(impl_->bytes(from, to)) != expected) {
        found.problems.push_back(file + ": " + describe_block(header, from, to) + " do not match their checksum");
      }
      found.samples = records_until(header, to);
      for (int64_t i = records_until(header, from); i < found.samples; ++i) {
        check_sample(*this, impl_->where(i), i, found);
      }
    }
    return found;
  };

  constexpr int64_t kStretchBytes = 8 << 20;
  const int64_t blocks = (header.checksums_at - header.records_at + block_bytes - 1) / block_bytes;
  const int64_t step = std::max<int64_t>(1, kStretchBytes / block_bytes);
  in_order(
      static_cast<size_t>((blocks + step - 1) / step), static_cast<size_t>(options.threads),
      [&](size_t i) {
        const int64_t first = static_cast<int64_t>(i) * step;
        return check_blocks(first, std::min(first + step, blocks));
      },
      [&](size_t, const Stretch& found) {
        for (const std::string& text : found.problems) problem(text);
        if (options.id) {
          for (const auto& [index, hash] : found.ids) options.id(index, hash);
        }
        if (options.progress) options.progress(found.samples);
      });
}

}  // namespace capture
