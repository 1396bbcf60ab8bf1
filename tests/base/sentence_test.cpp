#include "capture/base/sentence.h"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

#include "capture/base/error.h"

namespace capture {
namespace {

TEST(SentenceOf, LeavesOutStacks) {
  EXPECT_EQ(sentence_of(std::runtime_error("went wrong\nframe #0: f()")), "went wrong");
  EXPECT_EQ(sentence_of(UserError({.what = "is 3", .where = "c.json:4"})), "c.json:4: is 3");
}

TEST(SentenceOf, KnowsWhenMemoryHasRunOut) {
  const auto expect_told = [](const std::exception& error) {
    EXPECT_TRUE(is_out_of_memory(error)) << error.what();
    EXPECT_TRUE(sentence_of(error).starts_with("out of memory; use a smaller batch")) << error.what();
  };
  expect_told(std::bad_alloc());
  // As LibTorch 2.11 says it.
  expect_told(
      std::runtime_error("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79 GiB"));
  expect_told(std::runtime_error(
      "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you "
      "tried to allocate 3221225472 bytes. Error code 12 (Cannot allocate memory)\nframe #0: f()"));
  expect_told(std::runtime_error("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"));
  EXPECT_FALSE(is_out_of_memory(std::runtime_error("CUDA error: an illegal memory access was encountered")));
  EXPECT_FALSE(is_out_of_memory(UserError({.what = "photo \"out of memory.jpg\" does not exist"})));
}

}  // namespace
}  // namespace capture
