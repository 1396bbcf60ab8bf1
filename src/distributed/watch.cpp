#include "watch.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <sstream>
#include <thread>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace capture {

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kWorking = "its own work";

/// The store handles about this many short requests a second without being noticed.
constexpr int64_t kReadersAtOnce = 32;

/// Silence for this many beats counts: fewer, and a busy machine would be taken for a dead process.
constexpr int64_t kMissed = 4;

std::vector<uint8_t> bytes_of(const std::string& text) {
  return {text.begin(), text.end()};
}

std::string host_name() {
  std::string name(256, '\0');
  if (::gethostname(name.data(), name.size() - 1) != 0) return "?";
  return name.substr(0, name.find('\0'));
}

/// What a process says of itself.
struct Report {
  int64_t beat = -1;
  int64_t calls = 0;
  int64_t process = 0;
  bool leaving = false;
  std::string host;
  std::string call;

  std::string text() const { return fmt::format("{} {} {} {:d} {} {}", beat, calls, process, leaving, host, call); }

  static Report parse(const std::vector<uint8_t>& bytes) {
    Report report;
    std::istringstream in(std::string(bytes.begin(), bytes.end()));
    in >> report.beat >> report.calls >> report.process >> report.leaving >> report.host;
    std::getline(in >> std::ws, report.call);
    return report;
  }
};

struct Peer {
  Report report;
  Clock::time_point changed = Clock::now();
};

double seconds_since(Clock::time_point then) {
  return std::chrono::duration<double>(Clock::now() - then).count();
}

}  // namespace

struct Watch::State {
  State(const ProcessContext& context, c10::intrusive_ptr<c10d::Store> of)
      : rank(static_cast<size_t>(context.rank)),
        serves(context.rank == 0 && !context.store_is_served),
        store_is_served(context.store_is_served),
        period(std::chrono::milliseconds(500) * std::max<int64_t>(1, context.world_size / kReadersAtOnce)),
        store(std::move(of)),
        peers(static_cast<size_t>(context.world_size)) {
    for (int64_t i = 0; i < context.world_size; ++i) keys.push_back(fmt::format("{}/rank/{}", context.key_prefix, i));
    keys.push_back(context.key_prefix + "/verdict");
    own.process = ::getpid();
    own.host = host_name();
    own.call = kWorking;
  }

  bool is_silent(const Peer& peer) const { return Clock::now() - peer.changed > kMissed * period; }

  std::string name(size_t of) const { return fmt::format("rank {} of {}", of, peers.size()); }

  void exchange();
  std::string silent_ranks(bool timed_out) const;
  std::string lost_store() const;
  std::string ranks_behind() const;

  const size_t rank;
  const bool serves;
  const bool store_is_served;
  const Clock::duration period;
  const c10::intrusive_ptr<c10d::Store> store;  // of the thread alone
  std::vector<std::string> keys;                // one a rank, then the verdict's

  std::mutex mutex;  // of everything below
  std::condition_variable changed;
  Report own;
  std::string word;  // to be put into the store as the verdict, unless there is one
  bool stop = false;
  bool ended = false;  // the thread

  std::vector<Peer> peers;
  std::string verdict;  // why the run ends; from the store
  bool store_failed = false;
  Clock::time_point answered = Clock::now();  // the store
};

/// Tells and reads once. The mutex is free while the store is asked: it may never answer.
void Watch::State::exchange() {
  std::unique_lock lock(mutex);
  ++own.beat;
  const std::string report = own.text();
  const std::string last_word = word;
  lock.unlock();

  store->set(keys[rank], bytes_of(report));
  if (!last_word.empty()) store->compareSet(keys.back(), {}, bytes_of(last_word));
  const auto values = store->multiGet(keys);

  lock.lock();
  answered = Clock::now();
  for (size_t i = 0; i < peers.size(); ++i) {
    Report now = Report::parse(values[i]);
    if (now.beat != peers[i].report.beat) peers[i].changed = answered;
    peers[i].report = std::move(now);
  }
  verdict.assign(values.back().begin(), values.back().end());
  changed.notify_all();
}

std::string Watch::State::silent_ranks(bool timed_out) const {
  std::string text;
  for (size_t i = 0; i < peers.size(); ++i) {
    const auto& [report, last] = peers[i];
    if (i == rank || report.leaving || !is_silent(peers[i])) continue;
    text += fmt::format("{}{} {} (process {} on {}, last heard of {:.0f} s ago in {})", text.empty() ? "" : ", ",
                        name(i), timed_out ? "hangs or is cut off" : "is gone, killed or crashed", report.process,
                        report.host, seconds_since(last), report.call);
  }
  return text;
}

std::string Watch::State::lost_store() const {
  const auto& first = peers.front().report;
  if (store_is_served) return "the launcher's store no longer answers";
  return fmt::format(
      "{} {} (process {} on {}: the store that it serves {})", name(0),
      store_failed ? "is gone, killed or crashed" : "hangs or is cut off", first.process, first.host,
      store_failed ? "has closed" : fmt::format("has not answered for {:.0f} s", seconds_since(answered)));
}

std::string Watch::State::ranks_behind() const {
  std::string text;
  for (size_t i = 0; i < peers.size(); ++i) {
    const auto& report = peers[i].report;
    if (i == rank || (!report.leaving && report.calls >= own.calls)) continue;
    text += fmt::format("{}{} {} (process {} on {} {})", text.empty() ? "" : ", ", name(i),
                        report.leaving ? "has ended before this one" : "has not come", report.process, report.host,
                        report.leaving ? "gave no reason" : "answers, and is in " + report.call);
  }
  return text;
}

namespace {

void run_watch(const std::shared_ptr<Watch::State>& state) {
  bool goes_on = true;
  while (goes_on) {
    try {
      state->exchange();
    } catch (const std::exception&) {
      const std::lock_guard lock(state->mutex);
      state->store_failed = true;
      break;
    }
    std::unique_lock lock(state->mutex);
    const auto news = [&state, word = state->word, leaving = state->own.leaving] {
      return state->stop || state->word != word || state->own.leaving != leaving;
    };
    goes_on = !state->stop;
    if (goes_on) state->changed.wait_for(lock, state->own.leaving ? state->period / 10 : state->period, news);
  }
  const std::lock_guard lock(state->mutex);
  state->ended = true;
  state->changed.notify_all();
}

}  // namespace

Watch::Watch(const ProcessContext& context, c10::intrusive_ptr<c10d::Store> store)
    : state_(std::make_shared<State>(context, std::move(store))) {
  std::thread([state = state_] { run_watch(state); }).detach();
}

Watch::~Watch() {
  std::unique_lock lock(state_->mutex);
  state_->own.leaving = true;
  const auto all_know = [&] {
    for (size_t i = 0; i < state_->peers.size(); ++i) {
      const auto& peer = state_->peers[i];
      if (i != state_->rank && !peer.report.leaving && !state_->is_silent(peer)) return false;
    }
    return true;
  };
  state_->changed.notify_all();
  if (state_->serves) {
    state_->changed.wait_for(lock, std::chrono::seconds(6), [&] { return state_->ended || all_know(); });
  }
  state_->stop = true;
  state_->changed.notify_all();
  state_->changed.wait_for(lock, std::chrono::seconds(1), [&] { return state_->ended; });
}

void Watch::enter(const char* call) {
  const std::lock_guard lock(state_->mutex);
  ++state_->own.calls;
  state_->own.call = call;
}

void Watch::done() {
  const std::lock_guard lock(state_->mutex);
  state_->own.call = kWorking;
}

std::string Watch::blame(bool timed_out) {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  const auto give_up = Clock::now() + (kMissed + 2) * state.period;
  std::string found;
  while (found.empty() && state.verdict.empty()) {
    const bool late = Clock::now() >= give_up;
    if (state.store_failed || Clock::now() - state.answered > kMissed * state.period) {
      found = state.lost_store();
    } else {
      found = state.silent_ranks(timed_out);
      if (found.empty() && late) found = state.ranks_behind();
    }
    if (late) break;
    state.changed.wait_for(lock, std::chrono::milliseconds(50));
  }
  if (found.empty() || !state.verdict.empty() || state.ended) return state.verdict.empty() ? found : state.verdict;
  state.word = found;
  state.changed.notify_all();
  state.changed.wait_for(lock, std::chrono::seconds(1), [&] { return !state.verdict.empty() || state.ended; });
  return state.verdict.empty() ? found : state.verdict;
}

void Watch::leave(const std::string& word) {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  if (state.word.empty()) state.word = fmt::format("{} ended: {}", state.name(state.rank), word);
  state.changed.notify_all();
  state.changed.wait_for(lock, std::chrono::seconds(1), [&] { return !state.verdict.empty() || state.ended; });
}

}  // namespace capture
