#include "capture/base/running_checksum.h"

#include <xxhash.h>

#include <new>

namespace capture {

void RunningChecksum::Free::operator()(void* state) const {
  XXH3_freeState(static_cast<XXH3_state_t*>(state));
}

RunningChecksum::RunningChecksum() : state_(XXH3_createState()) {
  if (!state_) throw std::bad_alloc();
  restart();
}

void RunningChecksum::restart() {
  XXH3_64bits_reset(static_cast<XXH3_state_t*>(state_.get()));
}

void RunningChecksum::add(std::span<const std::byte> bytes) {
  XXH3_64bits_update(static_cast<XXH3_state_t*>(state_.get()), bytes.data(), bytes.size());
}

uint64_t RunningChecksum::value() const {
  return XXH3_64bits_digest(static_cast<const XXH3_state_t*>(state_.get()));
}

}  // namespace capture
