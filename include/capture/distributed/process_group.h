// Several processes ("ranks") that train one model. One process needs no network and pays nothing: every call below
// returns at once. c10d's headers stay in this room's bodies.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "capture/distributed/options.h"

namespace capture {

/// Which of how many processes this one is, and where they meet.
struct ProcessContext {
  int64_t rank = 0;
  int64_t world_size = 1;
  int64_t local_rank = 0;        ///< among the processes of this machine: the GPU to take
  int64_t local_world_size = 0;  ///< processes of this machine; 0: unknown
  std::string address;           ///< of the store where the processes meet
  int64_t port = 0;
  bool store_is_served = false;  ///< the launcher serves the store (torchrun); otherwise rank 0 does
  std::string key_prefix;        ///< keeps the keys of a launcher's restarts apart in a store that it serves
  int listener = -1;             ///< rank 0: a socket that listens on `port` already; -1: none does
};

/// Reads what the launcher put into the environment: torchrun and `capture_train --launch` (RANK, WORLD_SIZE,
/// LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT) or else Slurm (SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID;
/// the address is MASTER_ADDR or SLURM_LAUNCH_NODE_IPADDR, the port MASTER_PORT or one derived from SLURM_JOB_ID).
/// Neither: one process. UserError on a variable that is missing, no number or out of range.
ProcessContext read_process_context();

/// Keeps this thread, and all that it starts from now on, on this process's share of the machine's cores: whole cores,
/// side by side on one node of memory as far as they divide so. Says which in the log. One process keeps all, and so
/// does one whose launcher (Slurm) does not tell how many there are on the machine.
void bind_cores(const ProcessContext& context);

/// The processes, connected. Copies share the connection. Collective calls must be made by all processes in the same
/// order. When a process dies, hangs or ends with an error, the calls of the others end in a UserError that names it,
/// at once or after DistributedOptions::timeout_seconds.
class ProcessGroup {
 public:
  /// This process alone.
  ProcessGroup() = default;

  int64_t rank() const { return rank_; }
  int64_t world_size() const { return world_size_; }
  int64_t local_rank() const { return local_rank_; }
  bool alone() const { return world_size_ == 1; }

  /// How many of so many things this process gets when they are dealt out in turn.
  int64_t share_of(int64_t things) const { return (things + world_size_ - 1 - rank_) / world_size_; }

  /// Lets tensors on this process's GPU travel from GPU to GPU (NCCL), where all processes can, and makes it the
  /// current one. All processes call it, those on a CPU too.
  void use(at::Device device) const;

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

  /// UserError, on every process, when `text` is not the same on all of them; `what` names it ("the configuration").
  void require_same(const std::string& what, const std::string& text) const;

  /// Tells the others why this process ends early, for their own last message. Never throws.
  void leave(const std::string& reason) const;

  class Connection;

  /// Null for one process.
  const std::shared_ptr<Connection>& connection() const { return connection_; }

 private:
  friend ProcessGroup start_process_group(const ProcessContext& context, const DistributedOptions& options);

  int64_t rank_ = 0;
  int64_t world_size_ = 1;
  int64_t local_rank_ = 0;
  std::shared_ptr<Connection> connection_;
};

/// Connects the processes through Gloo, which moves CPU tensors and, before use() or where there is no NCCL, those of a
/// GPU by way of host memory. The network interface is the one of this host's name, or GLOO_SOCKET_IFNAME. From here on
/// the process ignores SIGPIPE, one process too. UserError that names the processes that do not come in time.
ProcessGroup start_process_group(const ProcessContext& context, const DistributedOptions& options = {});

/// gather() with a gradient: the backward pass sums over the processes what each of them asks of these rows. Where each
/// process takes the mean over its own rows of a loss against all rows, averaging the parameters' gradients over the
/// processes then gives exactly the gradient of one process that holds the whole batch. One process: `rows` itself.
at::Tensor gather_with_gradient(const ProcessGroup& group, const at::Tensor& rows);

}  // namespace capture
