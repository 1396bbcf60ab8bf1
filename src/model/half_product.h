// Products in bfloat16 where autocast asks for them and there are no kernels of our own, which is on a GPU. Autocast
// rounds each weight by a kernel of its own, and each weight's gradient comes back in bfloat16 and is widened by
// another. Here all weights are rounded together, and gradients leave their products in float32.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <unordered_map>
#include <vector>

namespace capture {

class HybridStreamModelImpl;

/// A weight or bias, and by what its product scales it.
struct ProductWeight {
  at::Tensor values;
  double scale = 1.0;
};

/// While in scope, products of this thread with these weights take the copies.
class HalfWeights {
 public:
  using Copies = std::unordered_map<const c10::TensorImpl*, ProductWeight>;

  /// bfloat16 copies of the weights, scaled, as they are now.
  static std::shared_ptr<const Copies> copies_of(const std::vector<ProductWeight>& weights);

  /// Null: no copies are to be taken.
  explicit HalfWeights(std::shared_ptr<const Copies> copies);
  ~HalfWeights();
  HalfWeights(const HalfWeights&) = delete;
  HalfWeights& operator=(const HalfWeights&) = delete;

  /// Those in scope, or null.
  static const std::shared_ptr<const Copies>& current();

 private:
  std::shared_ptr<const Copies> before_;
};

/// Everything that the model's products take: weights and biases.
std::vector<ProductWeight> weights_of_products(const HybridStreamModelImpl& model);

/// Copies of these for one forward pass whose products autocast wants in bfloat16, and which keeps a graph: one that
/// does not comes many times with the same weights, whose copies autocast keeps. The CPU has kernels of our own.
std::shared_ptr<const HalfWeights::Copies> half_weights(const HybridStreamModelImpl& model, at::Device device);

/// scale · x Wᵀ + bias_scale · b in bfloat16 by the copies in scope: x [..., inputs] → [..., outputs]. Undefined where
/// there are none of these weights at these scales.
at::Tensor half_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double scale,
                        double bias_scale);

}  // namespace capture
