#include "capture/train/checkpoint_writer.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <bit>
#include <utility>

#include "capture/base/error.h"
#include "capture/base/log.h"
#include "capture/base/memory.h"
#include "capture/base/sentence.h"

namespace capture {

namespace {

std::optional<at::Device> gpu_of(const std::vector<TensorFile>& files) {
  for (const auto& file : files) {
    for (const auto& [name, tensor] : file.tensors) {
      if (tensor.is_cuda()) return tensor.device();
    }
  }
  return std::nullopt;
}

/// The stream that work on the tensors is queued on.
c10::Stream stream_of(at::Device gpu) {
  return c10::impl::VirtualGuardImpl(gpu.type()).getStream(gpu);
}

SafetensorsImage make_image(const TensorFile& file) {
  constexpr const char* kHint = "set trainer.checkpoint_in_background to false";
  uint64_t bytes = 0;
  bool pinned = false;
  for (const auto& [name, tensor] : file.tensors) {
    bytes += tensor.nbytes();
    pinned = pinned || !tensor.is_cpu();
  }
  if (pinned) bytes = std::bit_ceil(bytes);
  const std::string needed =
      "the copy of " + file.name + " that checkpoints are written from needs " + std::to_string(bytes >> 20) + " MiB";
  // The system promises more than it has, and ends a process that takes it at its word. What it has is an estimate.
  const auto available = static_cast<uint64_t>(available_memory());
  if (available > 0 && bytes > available) {
    log::warn("{}, and this machine seems to have {} left; if it ends the run for that, {}", needed, available >> 20,
              kHint);
  }
  try {
    return SafetensorsImage(file.tensors, file.metadata);
  } catch (const std::exception& error) {
    if (!is_out_of_memory(error)) throw;
    throw UserError({.what = needed + ", which there is not", .where = "the memory of this machine", .hint = kHint});
  }
}

}  // namespace

void Snapshot::prepare(const std::vector<TensorFile>& files) {
  for (size_t i = 0; i < files.size(); ++i) {
    if (i < files_.size() && files_[i].image.fits(files[i].tensors, files[i].metadata)) {
      files_[i].name = files[i].name;
    } else {
      files_.erase(files_.begin() + static_cast<ptrdiff_t>(i), files_.end());  // before more memory is taken
      files_.push_back({files[i].name, make_image(files[i])});
    }
  }
  files_.erase(files_.begin() + static_cast<ptrdiff_t>(files.size()), files_.end());
}

void Snapshot::take(const std::vector<TensorFile>& files) {
  prepare(files);
  for (size_t i = 0; i < files.size(); ++i) files_[i].image.fill(files[i].tensors);
  copied_.reset();
  const auto gpu = gpu_of(files);
  if (!gpu) return;
  copied_.emplace(gpu->type());
  copied_->record(stream_of(*gpu));
}

const std::vector<Snapshot::File>& Snapshot::files() {
  if (copied_) {
    // The writing thread begins on the first GPU, which may be another process's.
    const c10::DeviceGuard on_the_copys(copied_->device());
    copied_->synchronize();
  }
  return files_;
}

CheckpointWriter::~CheckpointWriter() = default;  // joins the thread

void CheckpointWriter::prepare(const std::vector<TensorFile>& files) {
  // A save that was begun has taken the memory, and may still need what is in it.
  if (in_background_ && !thread_.joinable()) snapshot_.prepare(files);
}

void CheckpointWriter::save(CheckpointJob job) {
  wait();
  if (in_background_) {
    snapshot_.take(job.files);
    job.files.clear();
  } else if (const auto gpu = gpu_of(job.files)) {
    stream_of(*gpu).synchronize();  // the thread has a stream of its own
  }
  {
    const std::scoped_lock lock(mutex_);
    busy_ = true;
  }
  thread_ = std::jthread([this, job = std::move(job)] { write(job); });
}

void CheckpointWriter::write(const CheckpointJob& job) {
  std::exception_ptr failure;
  try {
    if (job.first) job.first();
    if (in_background_) {
      save_snapshot(job);
    } else {
      store_.save(job.step, job.files, job.state);
    }
    if (job.is_best) store_.set_best(job.step);
    store_.prune(job.keep_last);
  } catch (...) {
    failure = std::current_exception();
  }
  const std::scoped_lock lock(mutex_);
  busy_ = false;
  written_.notify_all();
  if (failure) {
    failure_ = failure;
    failed_step_ = job.step;
  } else {
    last_saved_ = job.step;
  }
}

void CheckpointWriter::save_snapshot(const CheckpointJob& job) {
  const auto& files = snapshot_.files();
  uint64_t bytes = 0;
  for (const auto& file : files) bytes += file.image.bytes().size();
  const auto write = [&](const std::filesystem::path& folder) {
    std::map<std::string, uint64_t> checksums;
    for (const auto& [name, image] : files) checksums[name] = image.write(folder / name);
    return checksums;
  };
  store_.save_with(job.step, bytes, write, job.state);
}

bool CheckpointWriter::is_busy() const {
  const std::scoped_lock lock(mutex_);
  return busy_;
}

void CheckpointWriter::wait() {
  if (thread_.joinable()) thread_.join();
}

bool CheckpointWriter::wait_for(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  return written_.wait_for(lock, limit, [this] { return !busy_; });
}

std::optional<CheckpointWriter::Failure> CheckpointWriter::take_failure() {
  std::exception_ptr failure;
  int64_t step = 0;
  {
    const std::scoped_lock lock(mutex_);
    failure = std::exchange(failure_, nullptr);
    step = failed_step_;
  }
  if (!failure) return std::nullopt;
  try {
    std::rethrow_exception(failure);
  } catch (const UserError& error) {
    return Failure{step, error.what()};
  }
}

std::optional<int64_t> CheckpointWriter::last_saved() const {
  const std::scoped_lock lock(mutex_);
  return last_saved_;
}

}  // namespace capture
