#include "capture/base/bulk_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace capture {

namespace {

constexpr size_t kChunkBytes = size_t{4} << 20;
// So many chunks may wait for the disk: those who fill them are not held up by every moment that it takes longer.
constexpr size_t kMostWaiting = 4;

}  // namespace

BulkFile::BulkFile(std::filesystem::path path) : file_(std::move(path)), chunk_(take_huge_pages(kChunkBytes)) {}

BulkFile::~BulkFile() = default;

void BulkFile::write(std::span<const std::byte> bytes) {
  size_ += bytes.size();
  while (!bytes.empty()) {
    const auto part = bytes.first(std::min(bytes.size(), kChunkBytes - used_));
    std::memcpy(chunk_.get() + used_, part.data(), part.size());
    used_ += part.size();
    bytes = bytes.subspan(part.size());
    if (used_ == kChunkBytes) hand_over();
  }
}

void BulkFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text)));
}

/// Gives the full chunk to the thread and takes an empty one.
void BulkFile::hand_over() {
  if (!thread_.joinable()) {
    file_.bypass_cache(true);
    thread_ = std::jthread([this](const std::stop_token& stop) { write_chunks(stop); });
  }
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return full_.size() < kMostWaiting || failure_; });
  rethrow();
  full_.push_back(std::move(chunk_));
  used_ = 0;
  if (empty_.empty()) {
    chunk_ = take_huge_pages(kChunkBytes);
  } else {
    chunk_ = std::move(empty_.back());
    empty_.pop_back();
  }
  changed_.notify_all();
}

/// The thread: ends when it is asked to and nothing is left, or on the first failure.
void BulkFile::write_chunks(const std::stop_token& stop) {
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [this] { return !full_.empty(); });
    if (full_.empty()) return;
    Chunk chunk = std::move(full_.front());
    full_.pop_front();
    changed_.notify_all();
    lock.unlock();
    std::exception_ptr failure;
    try {
      file_.write({chunk.get(), kChunkBytes});
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    empty_.push_back(std::move(chunk));
    if (!failure) continue;
    failure_ = failure;
    changed_.notify_all();
    return;
  }
}

void BulkFile::rethrow() {
  if (failure_) std::rethrow_exception(failure_);
}

void BulkFile::commit(std::span<const std::byte> head) {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
    rethrow();
    file_.bypass_cache(false);
  }
  file_.write({chunk_.get(), used_});
  file_.write_at(0, head);
  file_.commit();
}

}  // namespace capture
