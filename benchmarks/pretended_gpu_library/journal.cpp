#include "journal.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <sstream>
#include <vector>

namespace pretended {

namespace {

constexpr int kDeepest = 48;  // frames

thread_local bool computes = false;

/// Never closed: threads write until the process is gone.
std::FILE* file() {
  static std::FILE* const opened = [] {
    const char* name = std::getenv("CAPTURE_PRETENDED_LOG");
    std::FILE* const log =
        name ? std::fopen((std::string(name) + "." + std::to_string(getpid())).c_str(), "a") : stderr;
    if (!log) std::abort();
    std::setvbuf(log, nullptr, _IOLBF, 0);
    return log;
  }();
  return opened;
}

std::string readable(const char* symbol) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(symbol, nullptr, nullptr, &status),
                                                         &std::free);
  const std::string whole = name ? name.get() : symbol;
  return whole.substr(0, whole.find('('));
}

std::string stack() {
  std::vector<void*> frames(kDeepest);
  frames.resize(static_cast<size_t>(backtrace(frames.data(), kDeepest)));
  std::ostringstream text;
  Dl_info own{};
  dladdr(reinterpret_cast<void*>(&note), &own);
  for (void* frame : frames) {
    Dl_info where{};
    if (dladdr(frame, &where) == 0 || !where.dli_fname || where.dli_fbase == own.dli_fbase) continue;
    if (text.tellp() > 0) text << " < ";
    text << where.dli_fname << "+" << std::hex << static_cast<char*>(frame) - static_cast<char*>(where.dli_fbase) << ":"
         << (where.dli_sname ? readable(where.dli_sname) : "");
  }
  return text.str();
}

void write(const std::string& line) {
  static std::mutex mutex;
  const std::scoped_lock lock(mutex);
  std::fputs((line + "\n").c_str(), file());
}

}  // namespace

void note(const std::string& kind, const std::string& what, bool with_stack) {
  const char* thread = computes || is_main_thread() ? "training" : "other";
  write(kind + "\t" + what + "\t" + thread + "\t" + (with_stack ? stack() : ""));
}

void note_batch(const Counts& counts) {
  note(
      "batch",
      std::to_string(counts.launches) + " " + std::to_string(counts.replays) + " " + std::to_string(counts.collectives),
      /*with_stack=*/false);
}

void this_thread_computes() {
  computes = true;
}

bool is_main_thread() {
  return gettid() == getpid();
}

}  // namespace pretended
