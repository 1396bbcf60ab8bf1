// Checkpoints written while training goes on.
#pragma once

#include <c10/core/Event.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "capture/tensor/safetensors_image.h"
#include "capture/train/checkpoint.h"

namespace capture {

/// A copy of files' tensors in host memory, which is used again for the next one. Where they are on a GPU, that makes
/// the copy while the host goes on.
class Snapshot {
 public:
  struct File {
    std::string name;
    SafetensorsImage image;
  };

  /// Takes the memory that a copy of these will need. UserError when there is none.
  void prepare(const std::vector<TensorFile>& files);

  /// Tensors may change as soon as it returns (on a GPU: by work queued after it).
  void take(const std::vector<TensorFile>& files);

  /// The copy, complete.
  const std::vector<File>& files();

 private:
  std::vector<File> files_;
  std::optional<c10::Event> copied_;  // where a GPU makes the copy
};

/// A checkpoint on its way to the disk.
struct CheckpointJob {
  int64_t step = 0;
  std::vector<TensorFile> files = {};
  Json state = Json::object();
  bool is_best = false;
  int64_t keep_last = 1;
  std::function<void()> first = {};  ///< before anything is written, on the writing thread: syncs what it promises
};

/// Saves, one at a time, on a thread of its own; then points "best" at the checkpoint and prunes the older ones. To be
/// called from one thread.
class CheckpointWriter {
 public:
  struct Failure {
    int64_t step;
    std::string what;
  };

  /// In the background, a save costs its caller the copy of the tensors alone, and their size in host memory (on a GPU
  /// page-locked, for which LibTorch rounds each file's size up to a power of two). In the foreground it needs no
  /// copy: its caller waits until it is written before the tensors change. `store` must outlive the writer.
  CheckpointWriter(const CheckpointStore& store, bool in_background) : store_(store), in_background_(in_background) {}

  /// Finishes what is being written.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// Takes the memory for copies of such files now, and not from the step that the first save follows; waits for
  /// nothing. UserError, as from that save, when there is none.
  void prepare(const std::vector<TensorFile>& files);

  /// Waits for the save before, if it is not done yet.
  void save(CheckpointJob job);

  /// Whether a save is being written.
  bool is_busy() const;

  /// Returns when nothing is being written.
  void wait();
  /// Whether that is so within the limit.
  bool wait_for(std::chrono::milliseconds limit);

  /// The last save that a UserError ended, once; the checkpoints before it stand. Any other exception is thrown.
  std::optional<Failure> take_failure();

  /// The newest step that this writer has saved.
  std::optional<int64_t> last_saved() const;

 private:
  void write(const CheckpointJob& job);
  void save_snapshot(const CheckpointJob& job);

  const CheckpointStore& store_;
  const bool in_background_;
  Snapshot snapshot_;

  mutable std::mutex mutex_;  // for what follows
  std::condition_variable written_;
  bool busy_ = false;
  std::exception_ptr failure_;
  int64_t failed_step_ = 0;
  std::optional<int64_t> last_saved_;

  std::jthread thread_;  // the last member: it uses the others
};

}  // namespace capture
