// Who is still there: each process tells the store twice a second what it is doing, and reads what the others say. When
// a call fails, this knows more than the broken connection does.
#pragma once

#include <c10/util/intrusive_ptr.h>

#include <memory>
#include <string>

#include "capture/distributed/process_group.h"

namespace c10d {
class Store;
}

namespace capture {

class Watch {
 public:
  /// Takes `store` for itself. Returns at once.
  Watch(const ProcessContext& context, c10::intrusive_ptr<c10d::Store> store);

  /// Where this process serves the store, it stays until the others have left too: at most a few seconds.
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  /// This process enters its next collective call; `call` must outlive the watch.
  void enter(const char* call);
  void done();

  /// After a failed call: who is to blame, after a few seconds of looking. The first process to find out tells the
  /// others, so that all say the same. "" when everybody is there and in the same call.
  std::string blame(bool timed_out);

  /// What the others shall say of this process, which ends.
  void leave(const std::string& word);

  struct State;

 private:
  std::shared_ptr<State> state_;  // shared with the thread, which may be stuck in a store that no longer answers
};

}  // namespace capture
