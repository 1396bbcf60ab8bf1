#include <ATen/ATen.h>

#include <span>

#include "capture/base/block_checksum.h"
#include "capture/base/bulk_file.h"
#include "capture/base/files.h"
#include "capture/tensor/large_safetensors.h"
#include "capture/tensor/safetensors.h"
#include "safetensors_layout.h"

namespace capture {

namespace {

/// Calls `write` on the bytes of the file, part by part.
template <class Write>
void write_parts(const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                 const std::map<std::string, std::string>& metadata, const Write& write) {
  const SafetensorsLayout layout(tensors, metadata);
  write(std::as_bytes(std::span(layout.head)));
  for (const size_t i : layout.order) {
    const at::Tensor flat = tensors[i].second.detach().to(at::kCPU).contiguous();
    write(std::span(static_cast<const std::byte*>(flat.const_data_ptr()), flat.nbytes()));
  }
}

}  // namespace

void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  AtomicFile file(path);
  write_parts(tensors, metadata, [&](std::span<const std::byte> bytes) { file.write(bytes); });
  file.commit();
}

uint64_t write_large_safetensors(const std::filesystem::path& path,
                                 const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                                 const std::map<std::string, std::string>& metadata) {
  BulkFile file(path);
  RunningBlockChecksum sum;
  write_parts(tensors, metadata, [&](std::span<const std::byte> bytes) {
    sum.add(bytes);
    file.write(bytes);
  });
  file.commit();
  return sum.value();
}

}  // namespace capture
