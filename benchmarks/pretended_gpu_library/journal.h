// What benchmarks/pretended_gpu reads: one line for each thing worth knowing, in a file of each process.
#pragma once

#include <string>

namespace pretended {

/// Counted over the whole process.
struct Counts {
  long launches = 0;     // kernels, products, copies and collectives that were asked for one by one
  long replays = 0;      // graphs that were asked for
  long collectives = 0;  // NCCL's
};

/// Appends "KIND \t WHAT \t training|other \t STACK" to CAPTURE_PRETENDED_LOG.<process>. The stack, innermost first, is
/// FILE+OFFSET:NAME, separated by " < ", and left out where `with_stack` is false.
void note(const std::string& kind, const std::string& what, bool with_stack = true);

/// A batch is copied; the line holds the counts so far.
void note_batch(const Counts& counts);

/// The calling thread computes: it is the main thread, or has launched something (LibTorch's backward thread).
void this_thread_computes();

/// Whether the calling thread is the process's first.
bool is_main_thread();

}  // namespace pretended
