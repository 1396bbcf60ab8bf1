#include <algorithm>
#include <cstring>

#include "capture/base/error.h"
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

}  // namespace

void Shard::verify(const std::function<void(const std::string&)>& problem,
                   const std::function<void(int64_t)>& progress) const {
  const ShardHeader& header = impl_->header;
  const std::string file = impl_->path.string();
  const auto table = impl_->bytes(header.checksums_at, static_cast<int64_t>(impl_->file.size()));
  if (to_hex(checksum(table)) != header.checksums_checksum) {
    problem(file + ": the table of checksums, bytes " + std::to_string(header.checksums_at) + " to " +
            std::to_string(impl_->file.size() - 1) + ", does not match its own checksum");
  }

  int64_t sample = 0;
  const auto check_samples_until = [&](int64_t end) {
    for (; sample < header.samples && header.records_at + (sample + 1) * header.record_bytes <= end; ++sample) {
      try {
        const SampleView view = this->sample(sample);
        const std::string found = find_problem(view);
        if (!found.empty()) problem(impl_->where(sample) + " (\"" + std::string(view.id()) + "\"): " + found);
      } catch (const UserError& error) {
        problem(error.what());
      }
      if (progress) progress(sample + 1);
    }
  };

  // A block is read for its checksum, and its samples are looked at while it is still in the cache.
  for (int64_t from = header.records_at, block = 0; from < header.checksums_at; ++block) {
    const int64_t to = std::min(from + header.checksum_block_bytes, header.checksums_at);
    uint64_t expected = 0;
    std::memcpy(&expected, table.data() + block * 8, sizeof expected);
    if (checksum(impl_->bytes(from, to)) != expected) {
      problem(file + ": " + describe_block(header, from, to) + " do not match their checksum");
    }
    check_samples_until(to);
    from = to;
  }
}

}  // namespace capture
