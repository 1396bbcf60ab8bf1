// safetensors files that are made in memory first.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace capture {

struct SafetensorsLayout;

/// The bytes of a safetensors file in host memory: a copy of tensors that goes to the disk as it stands. To be filled
/// again and again.
class SafetensorsImage {
 public:
  using Tensors = std::vector<std::pair<std::string, at::Tensor>>;
  using Metadata = std::map<std::string, std::string>;

  /// Takes the memory, page-locked where tensors are on a GPU, and has the system map all of it now: that can take ten
  /// times as long as filling it.
  SafetensorsImage(const Tensors& tensors, const Metadata& metadata);
  ~SafetensorsImage();
  SafetensorsImage(SafetensorsImage&& other) noexcept;
  SafetensorsImage& operator=(SafetensorsImage&& other) noexcept;

  /// Whether it can be filled with these: names, shapes, types and kind of device are those of the ones before, and so
  /// is the metadata.
  bool fits(const Tensors& tensors, const Metadata& metadata) const;

  /// Copies the tensors, which fit. They may change as soon as it returns (on a GPU: by work queued after it, on the
  /// current stream, whose work must be done before the image is read).
  void fill(const Tensors& tensors);

  /// What write_safetensors() writes.
  std::span<const std::byte> bytes() const;

  /// Writes the file as write_large_safetensors() does, but without copying once more. Returns the file's block
  /// checksum.
  uint64_t write(const std::filesystem::path& path) const;

 private:
  void copy(const Tensors& tensors);
  void fetch(const Tensors& tensors);

  std::unique_ptr<const SafetensorsLayout> layout_;
  bool on_gpu_;
  at::Tensor memory_;                // the file's bytes
  std::vector<uint64_t> checksums_;  // of its blocks (block_checksum.h), where a CPU made the copy
};

}  // namespace capture
