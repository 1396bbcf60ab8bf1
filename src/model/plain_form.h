// The plain form of the model: LibTorch's operations alone.
#pragma once

#include "capture/model/sequences.h"

namespace capture {

/// While in scope, the forward passes of this thread take LibTorch's operations, and with them their backward passes.
class PlainForm {
 public:
  PlainForm();
  ~PlainForm();
  PlainForm(const PlainForm&) = delete;
  PlainForm& operator=(const PlainForm&) = delete;

  /// Whether one is in scope.
  static bool wanted();

 private:
  bool before_;
};

/// Whether kernels of our own compute these sequences: packed ones on the CPU, unless the plain form is wanted.
bool own_kernels(const Sequences& sequences);

}  // namespace capture
