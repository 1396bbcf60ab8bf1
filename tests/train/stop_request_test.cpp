#include "capture/train/stop_request.h"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <latch>
#include <thread>

namespace capture {
namespace {

TEST(StopRequest, RemembersTheFirstSignal) {
  const StopRequest stop;
  EXPECT_EQ(stop.signal(), 0);
  std::raise(SIGUSR1);
  EXPECT_EQ(stop.signal(), SIGUSR1);
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

TEST(StopRequest, LetsASecondSignalEndTheProcessButForOneAfterSigusr1) {
  const auto after_a_while = [](int first, int second) {
    const StopRequest stop;
    std::raise(first);
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // more than a launcher takes
    std::raise(second);
    std::_Exit(0);
  };
  EXPECT_EXIT(after_a_while(SIGTERM, SIGINT), ::testing::KilledBySignal(SIGINT), "");
  // Slurm sends its SIGTERM some time after --signal=USR1.
  EXPECT_EXIT(after_a_while(SIGUSR1, SIGTERM), ::testing::ExitedWithCode(0), "");
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
