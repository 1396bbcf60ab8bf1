// An opened shard's parts, shared by reading (shard.cpp) and verifying (shard_verify.cpp).
#pragma once

#include <span>

#include "capture/base/files.h"
#include "capture/data/shard.h"
#include "record.h"

namespace capture {

struct Shard::Impl {
  std::filesystem::path path;
  MappedFile file;
  ShardHeader header;
  Json origin;

  std::span<const std::byte> bytes(int64_t from, int64_t to) const {
    return file.bytes().subspan(static_cast<size_t>(from), static_cast<size_t>(to - from));
  }
  std::span<const std::byte> record(int64_t index) const {
    const int64_t start = header.records_at + index * header.record_bytes;
    return bytes(start, start + header.record_bytes);
  }
  std::string where(int64_t index) const { return path.string() + ", sample " + std::to_string(index); }
};

}  // namespace capture
