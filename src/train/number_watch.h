// Looks at what every operation of LibTorch returns and remembers the first that is no finite number, and whose module
// it was: for a rerun of a step that went wrong, because looking costs more than the step.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace capture {

/// Where a number first was not finite.
struct FirstBadNumber {
  std::string module;      ///< whose parameters were used last: "co_transformer.3.up"; "" before any
  std::string operation;   ///< "linear", "softmax"
  bool in_module = false;  ///< whether the operation uses that module's own parameters; else it comes after it
};

/// Watches this thread's forward passes while in scope. One at a time in a process.
class NumberWatch {
 public:
  explicit NumberWatch(const std::vector<std::pair<std::string, at::Tensor>>& parameters);
  ~NumberWatch();
  NumberWatch(const NumberWatch&) = delete;
  NumberWatch& operator=(const NumberWatch&) = delete;

  const std::optional<FirstBadNumber>& first() const { return first_; }

 private:
  friend struct NumberWatchCallbacks;

  /// The module whose parameter the tensor is, or is a view of.
  const std::string* owner_of(const at::Tensor& tensor) const;
  void begin(const std::vector<at::Tensor>& inputs);
  void end(const char* operation, const std::vector<at::Tensor>& outputs);

  struct Owner {
    const char* end;
    std::string module;
  };
  std::map<const char*, Owner> owners_;  // by the first byte of each parameter
  std::string module_;
  bool in_module_ = false;
  int depth_ = 0;  // of operations that call others
  std::optional<FirstBadNumber> first_;
  uint64_t handle_ = 0;
};

}  // namespace capture
