// What torchrun and Slurm say of a process, read from the environment, and which cores it takes.
#include <charconv>
#include <cstdlib>
#include <limits>
#include <optional>

#include "capture/base/error.h"
#include "capture/base/log.h"
#include "capture/base/processors.h"
#include "capture/distributed/process_group.h"

namespace capture {

namespace {

constexpr int64_t kFirstFreePort = 20000;
constexpr int64_t kFreePorts = 20000;

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? std::nullopt : std::optional<std::string>(value);
}

int64_t number(const char* name, int64_t low, int64_t high) {
  const auto text = variable(name);
  const std::string allowed = "a whole number from " + std::to_string(low) + " to " + std::to_string(high);
  const std::string hint = "start the program through torchrun or srun, or unset the launcher's variables";
  if (!text) throw UserError({.what = "is not set", .where = name, .allowed = allowed, .hint = hint});
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || value < low || value > high) {
    throw UserError({.what = "is \"" + *text + "\"", .where = name, .allowed = allowed, .hint = hint});
  }
  return value;
}

ProcessContext read_ranks(const char* rank, const char* world_size, const char* local_rank) {
  ProcessContext context;
  context.world_size = number(world_size, 1, 1 << 20);
  context.rank = number(rank, 0, context.world_size - 1);
  context.local_rank = number(local_rank, 0, context.world_size - 1);
  return context;
}

ProcessContext from_torchrun() {
  ProcessContext context = read_ranks("RANK", "WORLD_SIZE", "LOCAL_RANK");
  if (context.world_size == 1) return context;
  const auto address = variable("MASTER_ADDR");
  if (!address) throw UserError({.what = "is not set", .where = "MASTER_ADDR", .allowed = "rank 0's host"});
  if (variable("LOCAL_WORLD_SIZE")) {
    context.local_world_size = number("LOCAL_WORLD_SIZE", context.local_rank + 1, context.world_size);
  }
  context.address = *address;
  context.port = number("MASTER_PORT", 1, 65535);
  if (variable("CAPTURE_STORE_SOCKET")) {
    context.listener = static_cast<int>(number("CAPTURE_STORE_SOCKET", 3, 1 << 20));
  }
  context.store_is_served = variable("TORCHELASTIC_USE_AGENT_STORE") == "True";
  context.key_prefix = "capture/" + variable("TORCHELASTIC_RESTART_COUNT").value_or("0");
  return context;
}

ProcessContext from_slurm() {
  ProcessContext context = read_ranks("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID");
  if (context.world_size == 1) return context;
  auto address = variable("MASTER_ADDR");
  if (!address) address = variable("SLURM_LAUNCH_NODE_IPADDR");
  if (!address) {
    throw UserError({.what = "neither MASTER_ADDR nor SLURM_LAUNCH_NODE_IPADDR is set",
                     .where = "the environment",
                     .allowed = "rank 0's host in MASTER_ADDR"});
  }
  context.address = *address;
  // Jobs that share a machine must not meet at one another's port.
  context.port = variable("MASTER_PORT") || !variable("SLURM_JOB_ID")
                     ? number("MASTER_PORT", 1, 65535)
                     : kFirstFreePort + number("SLURM_JOB_ID", 0, std::numeric_limits<int64_t>::max()) % kFreePorts;
  context.key_prefix = "capture/" + variable("SLURM_RESTART_COUNT").value_or("0");
  return context;
}

}  // namespace

ProcessContext read_process_context() {
  if (variable("RANK") || variable("WORLD_SIZE")) return from_torchrun();
  // A batch script that asked for no number of tasks is process 0 of an unknown number, and alone.
  const auto task = variable("SLURM_PROCID");
  if (task && (variable("SLURM_NTASKS") || *task != "0")) return from_slurm();
  return {};
}

void bind_cores(const ProcessContext& context) {
  if (context.local_world_size == 0) {
    if (context.world_size > 1) log::info("distributed.bind_cores is left to the launcher (srun --cpu-bind, numactl)");
    return;
  }
  const auto share = share_of_processors(allowed_processors(), context.local_rank, context.local_world_size);
  if (stay_on(share)) {
    log::info("on processors {}", names_of(share));
  } else {
    log::warn("distributed.bind_cores: the system keeps this process from choosing its cores");
  }
}

}  // namespace capture
