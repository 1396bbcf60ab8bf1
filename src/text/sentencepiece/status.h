// What a status of sentencepiece ("Internal: ./file.cc(580) [condition] Sentence.") says to its users.
#pragma once

#include <string>

namespace capture {

/// The sentence, or "" when there is none.
std::string reason_of(const std::string& status);

}  // namespace capture
