// What a program may do that root does not run.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

namespace capture::testing {

/// While it lives, this process may not do what root may.
class Nobody {
 public:
  Nobody() { EXPECT_EQ(::seteuid(is_root_ ? 65534 : ::geteuid()), 0); }
  ~Nobody() { EXPECT_EQ(::seteuid(is_root_ ? 0 : ::geteuid()), 0); }
  Nobody(const Nobody&) = delete;
  Nobody& operator=(const Nobody&) = delete;

 private:
  bool is_root_ = ::geteuid() == 0;
};

}  // namespace capture::testing
