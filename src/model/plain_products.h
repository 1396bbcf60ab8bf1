// The plain form of the model: LibTorch's operations alone.
#pragma once

namespace capture {

/// While in scope, the forward passes of this thread take LibTorch's products, and with them their backward passes.
class PlainProducts {
 public:
  PlainProducts();
  ~PlainProducts();
  PlainProducts(const PlainProducts&) = delete;
  PlainProducts& operator=(const PlainProducts&) = delete;

  /// Whether one is in scope.
  static bool wanted();

 private:
  bool before_;
};

}  // namespace capture
