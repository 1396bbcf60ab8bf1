// Several processes that train one model. One process needs no network and pays nothing: every call below returns at
// once. c10d's headers stay in this room's bodies.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

namespace capture {

/// Which of how many processes this one is, and where they meet.
struct ProcessContext {
  int64_t rank = 0;
  int64_t world_size = 1;
  int64_t local_rank = 0;  ///< among the processes of this machine: the GPU to take
  std::string address;     ///< of the store where the processes meet
  int64_t port = 0;
  bool store_is_served = false;  ///< the launcher serves the store (torchrun); otherwise rank 0 does
  std::string key_prefix;        ///< keeps the keys of a launcher's restarts apart in a store that it serves
};

/// Reads what the launcher put into the environment: torchrun (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT)
/// or else Slurm (SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID; the address is MASTER_ADDR or SLURM_LAUNCH_NODE_IPADDR,
/// the port MASTER_PORT or one derived from SLURM_JOB_ID). Neither: one process. UserError on a variable that is
/// missing, no number or out of range.
ProcessContext read_process_context();

/// The processes, connected. Copies share the connection. Collective calls must be made by all processes in the same
/// order; when a process dies or hangs, those of the others end in a UserError after a time limit.
class ProcessGroup {
 public:
  /// This process alone.
  ProcessGroup() = default;

  int64_t rank() const { return rank_; }
  int64_t world_size() const { return world_size_; }
  bool alone() const { return world_size_ == 1; }

  /// Overwrites every tensor with rank 0's.
  void broadcast(const std::vector<at::Tensor>& tensors) const;

  /// Replaces every tensor by its mean over the processes, in as few messages as their types allow.
  void average(const std::vector<at::Tensor>& tensors) const;

  /// Replaces the tensor by its sum over the processes.
  void sum(at::Tensor& tensor) const;

  /// [n, …] of each process → [world_size · n, …] in the order of ranks, without gradient. Shapes must agree.
  at::Tensor gather(const at::Tensor& rows) const;

  /// Returns when every process has come here.
  void barrier() const;

  class Connection;

 private:
  friend ProcessGroup start_process_group(const ProcessContext& context);

  int64_t rank_ = 0;
  int64_t world_size_ = 1;
  std::shared_ptr<Connection> connection_;
};

/// Connects the processes through Gloo, which moves CPU tensors and, by way of host memory, those of a GPU. UserError
/// when the others do not come within five minutes.
ProcessGroup start_process_group(const ProcessContext& context);

/// gather() with a gradient: the backward pass sums over the processes what each of them asks of these rows. Where each
/// process takes the mean over its own rows of a loss against all rows, averaging the parameters' gradients over the
/// processes then gives exactly the gradient of one process that holds the whole batch. One process: `rows` itself.
at::Tensor gather_with_gradient(const ProcessGroup& group, const at::Tensor& rows);

/// Averages the gradients of the parameters that have one on any process; a parameter without one counts as zero
/// whenever another process has it.
void average_gradients(const ProcessGroup& group, const std::vector<at::Tensor>& parameters);

}  // namespace capture
