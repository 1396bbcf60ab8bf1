#include "capture/train/checkpoint_writer.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <utility>

#include "capture/base/error.h"

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

}  // namespace

at::Tensor Snapshot::buffer_for(const at::Tensor& source, size_t file, size_t tensor) const {
  if (file < files_.size() && tensor < files_[file].tensors.size()) {
    const at::Tensor& kept = files_[file].tensors[tensor].second;
    if (kept.sizes() == source.sizes() && kept.scalar_type() == source.scalar_type()) return kept;
  }
  const auto options = at::TensorOptions().dtype(source.scalar_type()).pinned_memory(source.is_cuda());
  return at::empty(source.sizes(), options);
}

void Snapshot::take(const std::vector<TensorFile>& files) {
  const at::NoGradGuard no_gradient;
  std::vector<TensorFile> copies;
  for (size_t i = 0; i < files.size(); ++i) {
    TensorFile& copy = copies.emplace_back(TensorFile{.name = files[i].name, .metadata = files[i].metadata});
    for (size_t j = 0; j < files[i].tensors.size(); ++j) {
      const auto& [name, tensor] = files[i].tensors[j];
      at::Tensor buffer = buffer_for(tensor, i, j);
      buffer.copy_(tensor, /*non_blocking=*/true);
      copy.tensors.emplace_back(name, std::move(buffer));
    }
  }
  files_ = std::move(copies);
  copied_.reset();
  const auto gpu = gpu_of(files);
  if (!gpu) return;
  copied_.emplace(gpu->type());
  copied_->record(stream_of(*gpu));
}

const std::vector<TensorFile>& Snapshot::files() {
  if (copied_) {
    // The writing thread begins on the first GPU, which may be another process's.
    const c10::DeviceGuard on_the_copys(copied_->device());
    copied_->synchronize();
  }
  return files_;
}

CheckpointWriter::~CheckpointWriter() = default;  // joins the thread

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
    store_.save(job.step, in_background_ ? snapshot_.files() : job.files, job.state);
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
