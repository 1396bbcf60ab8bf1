// What a ProcessGroup stands on: the store where the processes meet, and the channels that carry tensors.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/intrusive_ptr.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "capture/distributed/process_group.h"
#include "watch.h"

namespace c10d {
class Backend;
}

namespace capture {

/// Calls wait for their result and turn c10d's exceptions into a UserError that says which process is to blame. Tensors
/// are contiguous and on the device that carrier() names.
class ProcessGroup::Connection {
 public:
  Connection(const ProcessContext& context, const DistributedOptions& options);
  ~Connection();

  /// Opens channels between the GPUs, on every process at once. Where one process lacks NCCL or a GPU, all tensors
  /// travel by way of host memory.
  void use(at::Device device);

  /// The device on which a message of such tensors travels.
  at::Device carrier(at::Device of) const;

  void broadcast(at::Tensor& tensor);
  void sum(at::Tensor& tensor);
  void maximum(at::Tensor& tensor);
  void gather(at::Tensor& all, at::Tensor& own);
  /// `own` becomes this process's rows of the sum of `all`.
  void scatter_sum(at::Tensor& own, at::Tensor& all);
  void barrier();
  void leave(const std::string& reason);

  /// A sum under way.
  class Pending {
   public:
    virtual ~Pending() = default;
    virtual void wait() = 0;
  };

  /// Starts to sum up the tensor, beside all other calls: these sums are in order among themselves alone.
  std::unique_ptr<Pending> begin_sum(at::Tensor& tensor);

  /// Waits for sums in the order in which they began.
  void finish_sums(const std::function<void()>& wait);

  /// The UserError of a sum that failed after so long, to whoever waits for sums himself.
  [[noreturn]] void fail_sums(const std::exception& error, std::chrono::duration<double> after);

  using Channel = c10::intrusive_ptr<c10d::Backend>;

  /// The channel on which sums of tensors of carrier(device) travel.
  const Channel& sums(at::Device device) const { return device.is_cuda() ? device_sums_ : sums_; }

 private:
  at::Tensor exchanged(const at::Tensor& own);
  void run(const char* doing, const std::function<void()>& call);
  [[noreturn]] void fail(const char* doing, const std::exception& error, std::chrono::duration<double> after);
  /// Once. In order: when all that travels has arrived; otherwise at once, for a lost process's share never comes.
  void close_gpus(bool in_order) noexcept;
  c10d::Backend& channel(const at::Tensor& tensor);
  c10::intrusive_ptr<c10d::Store> keys_under(const char* name) const;

  const ProcessContext context_;
  const std::chrono::milliseconds timeout_;
  c10::intrusive_ptr<c10d::Store> store_;
  std::unique_ptr<Watch> watch_;
  Channel calls_;  // what waits, and what travels beside it: two channels, so that neither waits for the other's turn
  Channel sums_;
  Channel device_calls_;  // null without NCCL
  Channel device_sums_;
  bool gpus_closed_ = false;
};

}  // namespace capture
