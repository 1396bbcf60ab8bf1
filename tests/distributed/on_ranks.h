// Runs a test's body on several ranks: threads with a connection each, over loopback.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <thread>
#include <vector>

#include "capture/distributed/process_group.h"

namespace capture {

/// A port that nothing listens on.
inline int64_t free_port() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ::bind(descriptor, reinterpret_cast<sockaddr*>(&address), length);
  ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length);
  ::close(descriptor);
  return ntohs(address.sin_port);
}

/// An exception on any rank fails the test.
inline void on_ranks(int64_t world_size, const std::function<void(const ProcessGroup&)>& body) {
  const int64_t port = free_port();
  std::vector<std::jthread> ranks;
  for (int64_t rank = 0; rank < world_size; ++rank) {
    ranks.emplace_back([=, &body] {
      EXPECT_NO_THROW({
        body(start_process_group({.rank = rank,
                                  .world_size = world_size,
                                  .local_rank = rank,
                                  .address = "127.0.0.1",
                                  .port = port,
                                  .key_prefix = "test"}));
      });
    });
  }
}

}  // namespace capture
