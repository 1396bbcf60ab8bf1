#include "capture/base/in_order.h"

#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <string>

namespace capture {
namespace {

TEST(InOrder, HandsOverInTheOrderOfTheQuestionsWhateverTheirTime) {
  for (const size_t workers : {1, 2, 7}) {
    std::vector<size_t> taken;
    in_order(
        100, workers,
        [](size_t i) {
          if (i % 7 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
          return i * i;
        },
        [&](size_t i, size_t square) {
          EXPECT_EQ(square, i * i);
          taken.push_back(i);
        });
    std::vector<size_t> expected(100);
    std::iota(expected.begin(), expected.end(), 0U);
    EXPECT_EQ(taken, expected);
  }
}

TEST(InOrder, KeepsFewAnswersWaiting) {
  std::atomic<int64_t> made = 0;
  in_order(
      200, 3, [&](size_t) { return ++made; },
      [&](size_t i, int64_t) {
        std::this_thread::sleep_for(std::chrono::microseconds(200));
        EXPECT_LE(made, static_cast<int64_t>(i) + 12);
      });
  EXPECT_EQ(made, 200);
}

TEST(InOrder, ThrowsWhatAnyStepThrows) {
  const auto fail_at = [](const std::string& step) {
    int asked = 0;
    const auto fail = [&](const std::string& here) {
      if (here == step) throw std::runtime_error(here);
    };
    answer_in_order(
        [&]() -> std::optional<int> {
          if (asked == 20) fail("ask");
          return asked < 50 ? std::optional(asked++) : std::nullopt;
        },
        2,
        [&](int i) {
          if (i == 30) fail("work");
          return i;
        },
        [&](int i) {
          if (i == 10) fail("take");
        });
  };
  EXPECT_NO_THROW(fail_at("nowhere"));
  for (const std::string step : {"ask", "work", "take"}) {
    EXPECT_THAT([&] { fail_at(step); }, testing::ThrowsMessage<std::runtime_error>(step));
  }
}

TEST(InOrder, AsksNothingOfNobody) {
  in_order(
      0, 2, [](size_t i) { return i; }, [](size_t, size_t) { FAIL(); });
}

}  // namespace
}  // namespace capture
