#include "capture/train/stop_request.h"

#include <gtest/gtest.h>

#include <csignal>
#include <latch>

namespace capture {
namespace {

TEST(StopRequest, RemembersTheFirstSignal) {
  const StopRequest stop;
  EXPECT_EQ(stop.signal(), 0);
  std::raise(SIGUSR1);
  EXPECT_EQ(stop.signal(), SIGUSR1);
  // Slurm sends its SIGTERM some time after --signal=USR1: it is the first that may end the process.
  std::raise(SIGTERM);
  std::raise(SIGUSR1);
  EXPECT_EQ(stop.signal(), SIGUSR1);
}

TEST(StopRequest, TakesASignalThatALauncherPassesOnForTheSameOne) {
  const StopRequest stop;
  std::raise(SIGINT);
  std::raise(SIGTERM);
  EXPECT_EQ(stop.signal(), SIGINT);
}

TEST(StopRequest, IsForgottenByTheNextRun) {
  {
    const StopRequest stop;
    std::raise(SIGTERM);
  }
  const StopRequest stop;
  EXPECT_EQ(stop.signal(), 0);
}

TEST(StopDeadline, RunsFromTheSignalOn) {
  const StopRequest stop;
  std::latch expired(1);
  int signal = 0;
  const StopDeadline deadline(stop, 0.01, [&](int received) {
    signal = received;
    expired.count_down();
  });
  std::raise(SIGTERM);
  expired.wait();
  EXPECT_EQ(signal, SIGTERM);
}

TEST(StopDeadline, EndsWithTheRun) {
  const StopRequest stop;
  const auto never = [](int) { FAIL() << "the run was over"; };
  { const StopDeadline unlimited(stop, 0, never); }
  std::raise(SIGTERM);
  { const StopDeadline unlimited(stop, 0, never); }
  { const StopDeadline long_one(stop, 3600, never); }
}

}  // namespace
}  // namespace capture
