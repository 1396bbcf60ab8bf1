#include "capture/tensor/safetensors_image.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

#include "capture/base/block_checksum.h"
#include "capture/base/files.h"
#include "capture/base/running_checksum.h"
#include "capture/tensor/huge_tensor.h"
#include "capture/tensor/parallel.h"
#include "safetensors_layout.h"
#include "stream_copy.h"

namespace capture {

namespace {

constexpr size_t kPage = 4096;  // of memory that is no huge one, and what writing past the page cache is aligned to
constexpr size_t kTouch = size_t{2} << 20;
/// Bytes of one write past the page cache, which the kernel holds in memory while it lasts. A smaller file goes through
/// the cache.
constexpr size_t kWrite = size_t{16} << 20;

bool any_on_gpu(const SafetensorsImage::Tensors& tensors) {
  return std::ranges::any_of(tensors, [](const auto& named) { return !named.second.is_cpu(); });
}

std::byte* data_of(const at::Tensor& tensor) {
  return static_cast<std::byte*>(tensor.mutable_data_ptr());
}

/// The system gives memory when it is first written to.
void touch(const at::Tensor& memory) {
  const auto size = static_cast<int64_t>(memory.nbytes());
  const auto step = static_cast<int64_t>(kTouch);
  for_each_task((size + step - 1) / step, [&](int64_t task, int64_t) {
    for (int64_t at = task * step; at < std::min(size, (task + 1) * step); at += static_cast<int64_t>(kPage)) {
      data_of(memory)[at] = std::byte{0};
    }
  });
}

at::Tensor take_memory(size_t bytes, bool pinned) {
  const auto size = static_cast<int64_t>(bytes);
  if (pinned) return at::empty({size}, at::TensorOptions().dtype(at::kByte).pinned_memory(true));
  at::Tensor memory = make_huge_tensor(size, at::kByte);
  touch(memory);
  return memory;
}

}  // namespace

SafetensorsImage::SafetensorsImage(const Tensors& tensors, const Metadata& metadata)
    : layout_(std::make_unique<SafetensorsLayout>(tensors, metadata)),
      on_gpu_(any_on_gpu(tensors)),
      memory_(take_memory(layout_->bytes, on_gpu_)) {}

SafetensorsImage::~SafetensorsImage() = default;
SafetensorsImage::SafetensorsImage(SafetensorsImage&&) noexcept = default;
SafetensorsImage& SafetensorsImage::operator=(SafetensorsImage&&) noexcept = default;

bool SafetensorsImage::fits(const Tensors& tensors, const Metadata& metadata) const {
  return any_on_gpu(tensors) == on_gpu_ && SafetensorsLayout(tensors, metadata).head == layout_->head;
}

void SafetensorsImage::fill(const Tensors& tensors) {
  const at::NoGradGuard no_gradient;
  if (on_gpu_) {
    fetch(tensors);
  } else {
    copy(tensors);
  }
}

void SafetensorsImage::fetch(const Tensors& tensors) {
  checksums_.clear();
  std::memcpy(data_of(memory_), layout_->head.data(), layout_->head.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const at::Tensor& from = tensors[i].second;
    const auto begin = static_cast<int64_t>(layout_->begin[i]);
    const at::Tensor bytes = memory_.narrow(0, begin, static_cast<int64_t>(from.nbytes()));
    bytes.view(from.scalar_type()).view(from.sizes()).copy_(from, /*non_blocking=*/true);
  }
}

/// Sums each block up while it is in the cache of the core that copies it.
void SafetensorsImage::copy(const Tensors& tensors) {
  struct Piece {
    uint64_t begin, end;     // in the file
    const std::byte* bytes;  // where they are now
  };
  const auto head = std::as_bytes(std::span(layout_->head));
  std::vector<Piece> pieces = {{0, head.size(), head.data()}};
  std::vector<at::Tensor> flat;  // kept until all is copied
  for (const size_t i : layout_->order) {
    flat.push_back(tensors[i].second.contiguous());
    const auto* const from = static_cast<const std::byte*>(flat.back().const_data_ptr());
    pieces.push_back({layout_->begin[i], layout_->begin[i] + flat.back().nbytes(), from});
  }

  std::byte* const image = data_of(memory_);
  const auto blocks = static_cast<int64_t>((layout_->bytes + kChecksumBlock - 1) / kChecksumBlock);
  std::vector<RunningChecksum> sums(static_cast<size_t>(workers_for(blocks)));
  checksums_.resize(static_cast<size_t>(blocks));
  for_each_task(blocks, [&](int64_t block, int64_t worker) {
    RunningChecksum& sum = sums[static_cast<size_t>(worker)];
    const uint64_t begin = static_cast<uint64_t>(block) * kChecksumBlock;
    const uint64_t end = std::min(layout_->bytes, begin + kChecksumBlock);
    auto piece = std::ranges::upper_bound(pieces, begin, {}, &Piece::begin) - 1;
    for (uint64_t at = begin; at < end; ++piece) {
      const uint64_t until = std::min(end, piece->end);
      if (until <= at) continue;  // of no bytes
      const std::span part(piece->bytes + (at - piece->begin), until - at);
      sum.add(part);
      stream_copy(image + at, part.data(), part.size());
      at = until;
    }
    stream_fence();
    checksums_[static_cast<size_t>(block)] = sum.value();
    sum.restart();
  });
}

std::span<const std::byte> SafetensorsImage::bytes() const {
  return {static_cast<const std::byte*>(memory_.const_data_ptr()), layout_->bytes};
}

uint64_t SafetensorsImage::write(const std::filesystem::path& path) const {
  AtomicFile file(path);
  auto rest = bytes();
  if (rest.size() >= kWrite) {
    file.bypass_cache(true);
    while (rest.size() >= kPage) {
      const size_t part = std::min(rest.size() / kPage * kPage, kWrite);
      file.write(rest.first(part));
      rest = rest.subspan(part);
    }
    file.bypass_cache(false);
  }
  file.write(rest);
  file.commit();
  return checksums_.empty() ? block_checksum(bytes(), 1) : block_checksum(checksums_);
}

}  // namespace capture
