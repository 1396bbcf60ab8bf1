// Gloo and the store behind ProcessGroup's calls.
#define USE_C10D
#define USE_C10D_GLOO
#define USE_DISTRIBUTED
#include "connection.h"

#include <ATen/ops/amax.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/sum.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/util/Logging.h>
#include <fmt/format.h>

#include <cstdlib>
#include <future>
#include <stdexcept>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <utility>

#include "capture/base/error.h"
#include "capture/base/log.h"
#include "capture/tensor/device.h"
#include "with_cuda/open_nccl.h"

namespace capture {

namespace {

constexpr const char* kSums = "add up gradients with";
constexpr const char* kHint = "see the logs of all ranks, then start all of them again with --resume auto";

std::string first_line(const std::exception& error) {
  const std::string text = error.what();
  return text.substr(0, text.find('\n'));
}

bool says_timed_out(const std::string& reason) {
  return reason.find("imed out") != std::string::npos || reason.find("imeout") != std::string::npos;
}

/// c10d writes pages of its own about every lost connection, beside the one sentence that says what happened. It also
/// records every call, with a stack, for readers that there are none of here; where ranks are threads of one process,
/// as in tests, they write that record unguarded.
void silence_c10d() {
  constexpr int kFatal = 3;
  if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) FLAGS_caffe2_log_level = kFatal;
  [[maybe_unused]] static const int once = ::setenv("TORCH_FR_BUFFER_SIZE", "0", /*overwrite=*/0);
}

std::shared_ptr<gloo::transport::Device> device_for(const std::string& address) {
  if (address == "127.0.0.1" || address == "localhost") {
    return c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1");
  }
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  return interface != nullptr && *interface != '\0' ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                                                    : c10d::ProcessGroupGloo::createDefaultDevice();
}

c10::intrusive_ptr<c10d::TCPStore> open_store(const ProcessContext& context, std::chrono::milliseconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(context.port);
  options.isServer = context.rank == 0 && !context.store_is_served;
  options.waitWorkers = false;
  options.timeout = timeout;
  if (context.listener >= 0) options.masterListenFd = static_cast<size_t>(context.listener);
  try {
    return c10::make_intrusive<c10d::TCPStore>(context.address, options);
  } catch (const std::exception& error) {
    const std::string place = fmt::format("{}:{}", context.address, context.port);
    if (options.isServer) {
      throw UserError({.what = "cannot serve the store where the processes meet: " + first_line(error),
                       .where = place,
                       .hint = "take another MASTER_PORT; MASTER_ADDR must be this machine"});
    }
    throw UserError({.what = fmt::format("no store answers there after {} s: rank 0 has not come",
                                         std::chrono::duration_cast<std::chrono::seconds>(timeout).count()),
                     .where = place,
                     .hint = "see rank 0's log, and check MASTER_ADDR and MASTER_PORT"});
  }
}

/// Returns when every process has said that it is there; Watch finds these keys. c10d's own exception where the store
/// is gone.
void wait_for_all(c10d::Store& store, const ProcessContext& context, std::chrono::milliseconds timeout) {
  std::vector<std::string> keys;
  for (int64_t i = 0; i < context.world_size; ++i) keys.push_back(fmt::format("{}/rank/{}", context.key_prefix, i));
  if (context.rank == 0) store.set(context.key_prefix + "/verdict", std::vector<uint8_t>());
  store.set(keys[static_cast<size_t>(context.rank)], std::string("-1 0 0 0 ? its start"));
  try {
    store.wait(keys, timeout);
  } catch (const std::exception&) {
    std::string missing;
    for (int64_t i = 0; i < context.world_size; ++i) {
      if (!store.check({keys[static_cast<size_t>(i)]})) missing += (missing.empty() ? "" : ", ") + std::to_string(i);
    }
    throw UserError({.what = fmt::format("of {} ranks these have not come within {} s: {}", context.world_size,
                                         std::chrono::duration_cast<std::chrono::seconds>(timeout).count(), missing),
                     .hint = "see their logs; distributed.timeout_seconds is how long to wait"});
  }
}

/// What the call returns or throws. c10d's clients wait for ever for a store that accepts them and does not answer: a
/// call that is not done in time stays behind on its thread, so it must own what it uses.
template <class Call>
auto in_time(std::chrono::milliseconds timeout, Call call) {
  // What c10d bounds by itself ends before, with a better message.
  const auto limit = timeout + std::chrono::seconds(3);
  std::packaged_task<decltype(call())()> task(std::move(call));
  auto result = task.get_future();
  std::thread(std::move(task)).detach();
  if (result.wait_for(limit) == std::future_status::ready) return result.get();
  throw std::runtime_error(
      fmt::format("timed out after {} s", std::chrono::duration_cast<std::chrono::seconds>(limit).count()));
}

/// The store and, when all ranks have come to it, a connection of the watch's own.
std::pair<c10::intrusive_ptr<c10d::Store>, c10::intrusive_ptr<c10d::Store>> meet(const ProcessContext& context,
                                                                                 std::chrono::milliseconds timeout) {
  bool hangs = true;
  try {
    const auto store = in_time(timeout, [=] { return open_store(context, timeout); });
    const auto own = in_time(timeout, [=] {
      wait_for_all(*store, context, timeout);
      return store->clone();
    });
    return {store, own};
  } catch (const UserError&) {
    throw;
  } catch (const std::exception& error) {
    hangs = says_timed_out(error.what());
  }
  throw UserError({.what = fmt::format("{}, which serves the store where the processes meet, {} before all had come",
                                       context.store_is_served ? "the launcher" : "rank 0",
                                       hangs ? "hung or was cut off" : "was gone"),
                   .where = fmt::format("{}:{}", context.address, context.port),
                   .hint = kHint});
}

class PendingWork final : public ProcessGroup::Connection::Pending {
 public:
  explicit PendingWork(c10::intrusive_ptr<c10d::Work> work) : work_(std::move(work)) {}
  void wait() override { work_->wait(); }

 private:
  c10::intrusive_ptr<c10d::Work> work_;
};

/// A few numbers of the host, whose way takes its latency and not their bytes.
bool is_small(const at::Tensor& tensor) {
  constexpr size_t kSmall = 4096;
  return tensor.is_cpu() && tensor.nbytes() <= kSmall;
}

}  // namespace

ProcessGroup::Connection::Connection(const ProcessContext& context, const DistributedOptions& options)
    : context_(context), timeout_(std::chrono::seconds(options.timeout_seconds)) {
  silence_c10d();
  auto [store, own] = meet(context, timeout_);
  store_ = std::move(store);
  watch_ = std::make_unique<Watch>(context, std::move(own));
  run("connect to", [&] {
    const auto open = [&](const char* name) -> Channel {
      return in_time(timeout_, [context = context_, timeout = timeout_, keys = keys_under(name)]() -> Channel {
        auto gloo = c10d::ProcessGroupGloo::Options::create(timeout);
        gloo->devices.push_back(device_for(context.address));
        return c10::make_intrusive<c10d::ProcessGroupGloo>(keys, static_cast<int>(context.rank),
                                                           static_cast<int>(context.world_size), std::move(gloo));
      });
    };
    calls_ = open("/calls");
    sums_ = open("/sums");
  });
}

ProcessGroup::Connection::~Connection() {
  close_gpus(/*in_order=*/true);
}

void ProcessGroup::Connection::close_gpus(bool in_order) noexcept {
  if (gpus_closed_) return;
  gpus_closed_ = true;
  for (const auto& channel : {device_sums_, device_calls_}) {
    if (!channel) continue;
    try {
      in_order ? channel->shutdown() : channel->abort();
    } catch (const std::exception& error) {
      log::warn("cannot close the GPUs' connection: {}", first_line(error));
    }
  }
}

c10::intrusive_ptr<c10d::Store> ProcessGroup::Connection::keys_under(const char* name) const {
  return c10::make_intrusive<c10d::PrefixStore>(context_.key_prefix + name, store_);
}

void ProcessGroup::Connection::use(at::Device device) {
  std::string reason = "another rank cannot";
  void* const symbol = device.is_cuda() ? cuda_function("capture_nccl.so", "capture_open_nccl", reason) : nullptr;
  // NCCL waits for ever for a rank that does not come, so all say first that they will.
  at::Tensor cannot = at::full({1}, symbol == nullptr ? 1 : 0, at::kInt);
  maximum(cannot);
  if (!device.is_cuda()) return;
  if (cannot.item<int>() != 0) {
    log::warn("the GPUs exchange their gradients through the CPUs, slowly: no NCCL ({})", reason);
    return;
  }
  const auto open = reinterpret_cast<decltype(&capture_open_nccl)>(symbol);
  run("connect the GPUs of", [&] {
    for (const auto& [name, channel] :
         {std::pair("/gpu_calls", &device_calls_), std::pair("/gpu_sums", &device_sums_)}) {
      *channel = in_time(timeout_, [=, context = context_, timeout = timeout_, keys = keys_under(name)] {
        c10::impl::getDeviceGuardImpl(device.type())->setDevice(device);
        Channel opened;
        // A lost process shows in the CPUs' calls first, whose message is the better one.
        open(keys, static_cast<int>(context.rank), static_cast<int>(context.world_size),
             timeout + std::chrono::minutes(1), opened);
        opened->eagerConnectSingleDevice(device);
        return opened;
      });
    }
  });
}

at::Device ProcessGroup::Connection::carrier(at::Device of) const {
  return of.is_cuda() && device_calls_ ? of : at::Device(at::kCPU);
}

c10d::Backend& ProcessGroup::Connection::channel(const at::Tensor& tensor) {
  return tensor.is_cuda() ? *device_calls_ : *calls_;
}

void ProcessGroup::Connection::broadcast(at::Tensor& tensor) {
  std::vector<at::Tensor> tensors = {tensor};
  run("receive weights from", [&] { channel(tensor).broadcast(tensors)->wait(); });
}

/// Those of all ranks, one behind the other. Every rank sends its own to every other at once: Gloo's other ways go
/// round a ring, in which a rank waits for the one before it as often as there are ranks, and in a sum twice as often.
at::Tensor ProcessGroup::Connection::exchanged(const at::Tensor& own) {
  at::Tensor sent = own.flatten().repeat({context_.world_size});
  at::Tensor all = at::empty_like(sent);
  std::vector<int64_t> equally;
  calls_->alltoall_base(all, sent, equally, equally)->wait();
  return all.view({context_.world_size, -1});
}

void ProcessGroup::Connection::sum(at::Tensor& tensor) {
  std::vector<at::Tensor> tensors = {tensor};
  run("add up numbers with", [&] {
    if (is_small(tensor)) {
      tensor.copy_(exchanged(tensor).sum(0).view(tensor.sizes()));
    } else {
      channel(tensor).allreduce(tensors)->wait();
    }
  });
}

void ProcessGroup::Connection::maximum(at::Tensor& tensor) {
  run("agree with", [&] { tensor.copy_(exchanged(tensor).amax(0).view(tensor.sizes())); });
}

void ProcessGroup::Connection::gather(at::Tensor& all, at::Tensor& own) {
  run("gather rows from", [&] {
    if (is_small(own)) {
      all.copy_(exchanged(own).view(all.sizes()));
    } else {
      channel(own)._allgather_base(all, own)->wait();
    }
  });
}

void ProcessGroup::Connection::scatter_sum(at::Tensor& own, at::Tensor& all) {
  run("add up rows' gradients with", [&] { channel(own)._reduce_scatter_base(own, all)->wait(); });
}

void ProcessGroup::Connection::barrier() {
  run("wait for", [&] { calls_->barrier()->wait(); });
}

void ProcessGroup::Connection::leave(const std::string& reason) {
  watch_->leave(reason);
  close_gpus(/*in_order=*/false);
}

std::unique_ptr<ProcessGroup::Connection::Pending> ProcessGroup::Connection::begin_sum(at::Tensor& tensor) {
  std::vector<at::Tensor> tensors = {tensor};
  return std::make_unique<PendingWork>(sums(tensor.device())->allreduce(tensors));
}

void ProcessGroup::Connection::finish_sums(const std::function<void()>& wait) {
  run(kSums, wait);
}

void ProcessGroup::Connection::fail_sums(const std::exception& error, std::chrono::duration<double> after) {
  watch_->enter(kSums);
  fail(kSums, error, after);
}

void ProcessGroup::Connection::run(const char* doing, const std::function<void()>& call) {
  watch_->enter(doing);
  const auto start = std::chrono::steady_clock::now();
  try {
    call();
  } catch (const std::exception& error) {
    fail(doing, error, std::chrono::steady_clock::now() - start);
  }
  watch_->done();
}

void ProcessGroup::Connection::fail(const char* doing, const std::exception& error,
                                    std::chrono::duration<double> after) {
  // Before anything else: NCCL's own thread, which soon finds out too, would end the process without a clear word.
  close_gpus(/*in_order=*/false);
  const std::string reason = first_line(error);
  const std::string blame = watch_->blame(says_timed_out(reason));
  throw UserError({.what = fmt::format("cannot {} the other ranks, after {:.1f} s: {}", doing, after.count(),
                                       blame.empty() ? reason : blame),
                   .hint = kHint});
}

}  // namespace capture
