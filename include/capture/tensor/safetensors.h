// safetensors files: 8 bytes of header length, a JSON header, then the bytes of every tensor, little-endian.
// Format: github.com/huggingface/safetensors. Files are mapped, never read whole, so that opening one costs nothing.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace capture {

/// A safetensors file, mapped read-only. Everything its header says is checked when it is opened: UserError, naming the
/// file and the tensor, on a header that is cut short, not JSON, or says anything that does not fit the file (unknown
/// dtype, shape × dtype ≠ bytes, ranges that overlap, leave holes or end elsewhere than the file does).
class SafetensorsFile {
 public:
  /// One line of the header.
  struct Entry {
    std::string name;
    at::ScalarType dtype;
    std::vector<int64_t> shape;
    uint64_t offset;  ///< of the first byte, from the start of the file
    uint64_t bytes;
  };

  explicit SafetensorsFile(const std::filesystem::path& path);

  /// In the order of the header.
  const std::vector<Entry>& entries() const;
  std::vector<std::string> names() const;
  bool contains(const std::string& name) const;
  /// UserError, naming the nearest known name, when there is no such tensor.
  const Entry& entry(const std::string& name) const;

  /// A view of the map, which it keeps alive: nothing is read before it is used, and nothing may be written to it
  /// (clone first). A tensor that the writer left unaligned for its dtype comes as a copy.
  at::Tensor tensor(const std::string& name) const;

  /// The header's "__metadata__".
  const std::map<std::string, std::string>& metadata() const;

  const std::filesystem::path& path() const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

/// "F32", "I64", … as the format spells them. An internal error for a dtype that the format (or this reader) lacks.
std::string safetensors_dtype(at::ScalarType dtype);

/// Writes the tensors (any device, any strides) as a file of which nobody ever sees a half. The header keeps the given
/// order; the bytes stand by element size, largest first, so that every tensor is aligned. The same tensors, order and
/// metadata give the same bytes. UserError when the file cannot be written.
void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace capture
