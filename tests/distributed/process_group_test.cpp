#include "capture/distributed/process_group.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <memory>

#include "capture/base/error.h"
#include "capture/distributed/gradient_reducer.h"
#include "distributed/on_ranks.h"

namespace capture {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

/// Sets the launcher's variables for one test; all others are unset.
class Environment {
 public:
  explicit Environment(const std::map<std::string, std::string>& values) {
    clear();
    for (const auto& [name, value] : values) ::setenv(name.c_str(), value.c_str(), 1);
  }
  ~Environment() { clear(); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  static void clear() {
    for (const char* name :
         {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "SLURM_PROCID",
          "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_LAUNCH_NODE_IPADDR", "SLURM_JOB_ID", "TORCHELASTIC_USE_AGENT_STORE",
          "TORCHELASTIC_RESTART_COUNT", "CAPTURE_STORE_SOCKET"}) {
      ::unsetenv(name);
    }
  }
};

TEST(ProcessContext, WithoutALauncherThereIsOneProcess) {
  const Environment none({});
  const ProcessContext context = read_process_context();
  EXPECT_EQ(context.world_size, 1);
  EXPECT_EQ(context.rank, 0);
  EXPECT_TRUE(start_process_group(context).alone());
}

TEST(ProcessContext, ReadsTorchrun) {
  const Environment torchrun({{"RANK", "5"},
                              {"WORLD_SIZE", "8"},
                              {"LOCAL_RANK", "1"},
                              {"LOCAL_WORLD_SIZE", "4"},
                              {"MASTER_ADDR", "node3"},
                              {"MASTER_PORT", "29400"},
                              {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                              {"TORCHELASTIC_RESTART_COUNT", "2"}});
  const ProcessContext context = read_process_context();
  EXPECT_EQ(context.rank, 5);
  EXPECT_EQ(context.world_size, 8);
  EXPECT_EQ(context.local_rank, 1);
  EXPECT_EQ(context.local_world_size, 4);
  EXPECT_EQ(context.address, "node3");
  EXPECT_EQ(context.port, 29400);
  EXPECT_TRUE(context.store_is_served);
  EXPECT_EQ(context.key_prefix, "capture/2");
}

TEST(ProcessContext, ReadsSlurm) {
  const Environment slurm({{"SLURM_PROCID", "3"},
                           {"SLURM_NTASKS", "4"},
                           {"SLURM_LOCALID", "1"},
                           {"SLURM_LAUNCH_NODE_IPADDR", "10.0.0.7"},
                           {"SLURM_JOB_ID", "1234567"}});
  const ProcessContext context = read_process_context();
  EXPECT_EQ(context.rank, 3);
  EXPECT_EQ(context.world_size, 4);
  EXPECT_EQ(context.address, "10.0.0.7");
  EXPECT_EQ(context.port, 20000 + 1234567 % 20000);
  EXPECT_FALSE(context.store_is_served);
}

TEST(ProcessContext, RefusesWhatNoLauncherSays) {
  for (const auto& values : std::vector<std::map<std::string, std::string>>{
           {{"RANK", "0"}},
           {{"RANK", "two"}, {"WORLD_SIZE", "4"}, {"LOCAL_RANK", "0"}},
           {{"RANK", "4"}, {"WORLD_SIZE", "4"}, {"LOCAL_RANK", "0"}},
           {{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"LOCAL_RANK", "0"}},
           {{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"LOCAL_RANK", "0"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "0"}},
           {{"RANK", "1"},
            {"WORLD_SIZE", "2"},
            {"LOCAL_RANK", "1"},
            {"LOCAL_WORLD_SIZE", "1"},
            {"MASTER_ADDR", "a"},
            {"MASTER_PORT", "1"}},
           {{"SLURM_PROCID", "1"}},
           {{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "2"}, {"SLURM_LOCALID", "0"}}}) {
    const Environment environment(values);
    EXPECT_THROW(read_process_context(), UserError);
  }
}

TEST(ProcessGroup, AloneEveryCallIsTheIdentity) {
  const ProcessGroup group;
  at::Tensor tensor = at::arange(4, at::kFloat);
  group.broadcast({tensor});
  group.average({tensor});
  group.sum(tensor);
  group.barrier();
  EXPECT_TRUE(tensor.equal(at::arange(4, at::kFloat)));
  EXPECT_TRUE(gather_with_gradient(group, tensor).is_same(tensor));
}

TEST(ProcessGroup, ThreeRanksAddAverageGatherAndBroadcast) {
  on_ranks(3, [](const ProcessGroup& group) {
    const auto rank = static_cast<double>(group.rank());
    at::Tensor sum = at::full({2, 2}, rank);
    group.sum(sum);
    EXPECT_TRUE(sum.equal(at::full({2, 2}, 3.0)));

    const at::Tensor floats = at::full({5}, rank, at::kFloat);
    const at::Tensor columns = at::full({3, 2}, rank, at::kDouble).t();
    group.average({floats, columns});
    EXPECT_TRUE(floats.equal(at::ones({5}, at::kFloat)));
    EXPECT_TRUE(columns.equal(at::ones({2, 3}, at::kDouble)));

    const at::Tensor everyone = group.gather(at::full({1, 2}, rank, at::kFloat));
    EXPECT_TRUE(everyone.equal(at::tensor({0.F, 0.F, 1.F, 1.F, 2.F, 2.F}).view({3, 2})));

    const at::Tensor first = at::full({4}, rank + 1);
    group.broadcast({first});
    EXPECT_TRUE(first.equal(at::ones({4}, first.options())));
    group.barrier();
  });
}

/// A loss in which every row meets every row, as in contrastive learning: the mean over `own` rows.
at::Tensor meeting(const at::Tensor& own, const at::Tensor& all, int64_t first) {
  const at::Tensor labels = at::arange(own.size(0)) + first;
  return at::cross_entropy_loss(own.mm(all.t()), labels);
}

TEST(ProcessGroup, GatheredRowsCarryTheGradientsOfTheWholeBatch) {
  const at::Tensor rows = at::sin(at::arange(24, at::kFloat)).view({8, 3});
  const at::Tensor start = at::cos(at::arange(6, at::kFloat)).view({3, 2});
  at::Tensor whole = start.clone().requires_grad_();
  const at::Tensor everything = rows.mm(whole);
  const at::Tensor loss = meeting(everything, everything, 0);
  loss.backward();
  for (const int ranks : {2, 4}) {
    on_ranks(ranks, [&](const ProcessGroup& group) {
      const int64_t share = rows.size(0) / group.world_size();
      at::Tensor weight = start.clone().requires_grad_();
      const auto reducer = make_gradient_reducer(group, {weight}, {});
      const at::Tensor own = rows.narrow(0, group.rank() * share, share).mm(weight);
      at::Tensor part = meeting(own, gather_with_gradient(group, own), group.rank() * share);
      reducer->backward(part);
      reducer->finish();
      at::Tensor mean = part.detach().clone();
      group.average({mean});
      EXPECT_TRUE(at::allclose(mean, loss.detach(), 1e-6, 1e-7));
      EXPECT_TRUE(at::allclose(weight.grad(), whole.grad(), 1e-5, 1e-7));
    });
  }
}

TEST(ProcessGroup, NamesTheRankWhoseInputDiffers) {
  const auto errors = errors_on_ranks(3, {}, [](const ProcessGroup& group) {
    group.require_same("the configuration", "the same");
    group.require_same("the configuration", group.rank() == 1 ? "mine" : "ours");
  });
  for (const auto& error : errors) EXPECT_THAT(error, HasSubstr("the configuration of rank 1 is not that of rank 0"));
}

TEST(ProcessGroup, NamesTheRanksThatDoNotCome) {
  const DistributedOptions second{.timeout_seconds = 1};
  EXPECT_THAT([&] { start_process_group(context_of(0, 3, free_port()), second); },
              ThrowsMessage<UserError>(HasSubstr("of 3 ranks these have not come within 1 s: 1, 2")));
  EXPECT_THAT([&] { start_process_group(context_of(1, 3, free_port()), second); },
              ThrowsMessage<UserError>(HasSubstr("rank 0 has not come")));
}

TEST(ProcessGroup, SaysThatRank0LeftBeforeAllHadCome) {
  const int64_t port = free_port();
  const std::jthread impatient(
      [=] { EXPECT_THROW(start_process_group(context_of(0, 3, port), {.timeout_seconds = 1}), UserError); });
  EXPECT_THAT([=] { start_process_group(context_of(1, 3, port), {.timeout_seconds = 60}); },
              ThrowsMessage<UserError>(HasSubstr("rank 0, which serves the store where the processes meet, was gone")));
}

TEST(ProcessGroup, DoesNotWaitForEverForAStoreThatDoesNotAnswer) {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);  // as of a rank 0 that was stopped
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const place = reinterpret_cast<sockaddr*>(&address);
  ASSERT_TRUE(::bind(listener, place, size) == 0 && ::listen(listener, 1) == 0 &&
              ::getsockname(listener, place, &size) == 0);
  EXPECT_THAT([&] { start_process_group(context_of(1, 2, ntohs(address.sin_port)), {.timeout_seconds = 1}); },
              ThrowsMessage<UserError>(HasSubstr("rank 0, which serves the store where the processes meet, hung")));
  ::close(listener);
}

TEST(ProcessGroup, NamesTheRankThatStaysAway) {
  std::atomic<int> waiting = 2;
  const auto errors = errors_on_ranks(3, {.timeout_seconds = 1}, [&](const ProcessGroup& group) {
    group.barrier();
    if (group.rank() == 1) {
      while (waiting > 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
      return;
    }
    const auto arrive = [&](int*) { --waiting; };
    int done = 0;
    const std::unique_ptr<int, decltype(arrive)> arrival(&done, arrive);
    group.barrier();
  });
  for (const int rank : {0, 2}) {
    EXPECT_THAT(errors[static_cast<size_t>(rank)], HasSubstr("rank 1 of 3 has not come"));
    EXPECT_THAT(errors[static_cast<size_t>(rank)], HasSubstr("its own work"));
  }
}

/// NCCL would wait for ever.
TEST(ProcessGroup, NoRankStartsToUseItsDeviceAlone) {
  const auto errors = errors_on_ranks(2, {}, [](const ProcessGroup& group) {
    if (group.rank() == 1) throw UserError({.what = "there is no GPU"});
    group.use(at::kCPU);
  });
  EXPECT_THAT(errors[0], HasSubstr("rank 1 of 2 ended: there is no GPU"));
}

TEST(ProcessGroup, PassesOnWhyARankEnded) {
  for (const int64_t failing : {0, 1}) {
    const auto errors = errors_on_ranks(3, {}, [&](const ProcessGroup& group) {
      group.barrier();
      if (group.rank() == failing) throw UserError({.what = "the disk is full"});
      group.barrier();
    });
    for (int64_t rank = 0; rank < 3; ++rank) {
      const std::string ended = "rank " + std::to_string(failing) + " of 3 ended: the disk is full";
      EXPECT_THAT(errors[static_cast<size_t>(rank)], HasSubstr(rank == failing ? "the disk is full" : ended));
    }
  }
}

}  // namespace
}  // namespace capture
