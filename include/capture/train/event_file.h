// TensorBoard's event files, written by hand: TFRecord framing around Event messages.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capture/train/append_file.h"

namespace capture {

/// CRC-32C (Castagnoli) as TFRecord stores it: rotated right by 15 and offset, so that a checksum of data that holds
/// checksums stays a good one.
uint32_t masked_crc32c(std::string_view bytes);

/// An events.out.tfevents.… file in `folder`, one record a write.
class EventFile {
 public:
  /// Opens a new file. `first_step`: TensorBoard forgets what earlier files of the folder say from that step on, so
  /// that a resumed run's curves have no double strands. UserError when the file cannot be made.
  EventFile(const std::filesystem::path& folder, int64_t first_step);
  /// Scalars by tag ("train/loss") at a step. UserError when the file cannot be written.
  void scalars(int64_t step, const std::vector<std::pair<std::string, double>>& values);

 private:
  void write(std::string_view event);

  AppendFile file_;
};

}  // namespace capture
