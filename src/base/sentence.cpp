#include "capture/base/sentence.h"

#include <algorithm>
#include <array>
#include <new>
#include <string_view>

#include "capture/base/error.h"

namespace capture {

bool is_out_of_memory(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return true;
  if (dynamic_cast<const UserError*>(&error) != nullptr) return false;
  // LibTorch has a class of its own for a GPU's alone, and this room knows none of its classes. The last is cuBLAS's.
  constexpr std::array<std::string_view, 3> kWords = {"out of memory", "can't allocate memory",
                                                      "CUBLAS_STATUS_ALLOC_FAILED"};
  const std::string_view text = error.what();
  return std::ranges::any_of(kWords, [&](std::string_view words) { return text.find(words) != text.npos; });
}

std::string sentence_of(const std::exception& error) {
  if (is_out_of_memory(error)) return "out of memory; use a smaller batch or model, or a machine with more memory";
  const std::string text = error.what();
  return text.substr(0, text.find('\n'));
}

}  // namespace capture
