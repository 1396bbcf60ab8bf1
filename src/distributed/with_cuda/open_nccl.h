// What connection.cpp finds in libexec/capture_nccl.so.
#pragma once

#include <c10/util/intrusive_ptr.h>

#include <chrono>

namespace c10d {
class Backend;
class Store;
}  // namespace c10d

extern "C" void capture_open_nccl(const c10::intrusive_ptr<c10d::Store>& store, int rank, int world_size,
                                  std::chrono::milliseconds timeout, c10::intrusive_ptr<c10d::Backend>& channel);
