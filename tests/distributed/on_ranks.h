// Runs a test's body on several ranks: threads with a connection each, over loopback.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "capture/base/error.h"
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

inline ProcessContext context_of(int64_t rank, int64_t world_size, int64_t port) {
  ProcessContext context;
  context.rank = context.local_rank = rank;
  context.world_size = world_size;
  context.address = "127.0.0.1";
  context.port = port;
  context.key_prefix = "test";
  return context;
}

/// What each rank's UserError said; "" where there was none. Any other exception fails the test.
inline std::vector<std::string> errors_on_ranks(int64_t world_size, const DistributedOptions& options,
                                                const std::function<void(const ProcessGroup&)>& body) {
  const int64_t port = free_port();
  std::vector<std::string> errors(static_cast<size_t>(world_size));
  std::vector<std::jthread> ranks;
  for (int64_t rank = 0; rank < world_size; ++rank) {
    ranks.emplace_back([=, &options, &errors, &body] {
      EXPECT_NO_THROW({
        ProcessGroup group;
        try {
          group = start_process_group(context_of(rank, world_size, port), options);
          body(group);
        } catch (const UserError& error) {
          errors[static_cast<size_t>(rank)] = error.what();
          group.leave(error.what());
        }
      });
    });
  }
  ranks.clear();
  return errors;
}

/// An exception on any rank fails the test.
inline void on_ranks(int64_t world_size, const std::function<void(const ProcessGroup&)>& body,
                     const DistributedOptions& options = {}) {
  for (const auto& error : errors_on_ranks(world_size, options, body)) EXPECT_EQ(error, "");
}

}  // namespace capture
