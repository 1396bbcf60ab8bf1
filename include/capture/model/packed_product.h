// x Wᵀ + b with the weights laid out for this CPU once, instead of anew at every call, and an activation that costs no
// pass over memory of its own. At the few hundred rows of an embedding batch this is worth up to half the time.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace capture {

/// What becomes of weights that a copy was made of.
enum class PackedWeights {
  kept,
  given_up  ///< their memory is free; from then on whatever reads them, and not the copy, reads NaN
};

enum class Activation {
  none,
  gelu,  ///< exact, with the error function
  silu   ///< x · sigmoid(x)
};

/// Frees the memory of a weight, of which NaN remain in its shape.
void give_up(at::Tensor& weight);

/// A copy of a product's weights for inference on the CPU.
class PackedProduct {
 public:
  PackedProduct() = default;

  /// weight [outputs, inputs] times `scale`, bias [outputs] times `bias_scale`; `type` is kFloat or kBFloat16. Stays
  /// undefined where there is neither our own product nor oneDNN, or the weight is on another device.
  PackedProduct(const at::Tensor& weight, const at::Tensor& bias, at::ScalarType type, double scale = 1.0,
                double bias_scale = 1.0);

  /// Whether it is of this type and was packed from the weight as it is now.
  bool made_of(const at::Tensor& weight, at::ScalarType type) const;

  /// Takes the weight's place, where it is made of it: see PackedWeights::given_up.
  void give_up(at::Tensor& weight);

  /// Takes the place of a part of a weight that was given up.
  void take_place_of(const at::Tensor& weight);

  /// Whether it may stand in for a product with the weight here and now: it is made of it, nobody asks for gradients
  /// or the plain form, and products run in its type.
  bool serves(const at::Tensor& weight) const;

  /// [..., inputs] → activation of [..., outputs], of the packed type.
  at::Tensor operator()(const at::Tensor& x, Activation activation = Activation::none) const;

 private:
  at::Tensor by_panels(const at::Tensor& x, Activation activation) const;

  at::Tensor weight_;  // in oneDNN's own layout, or in ours
  at::Tensor bias_;
  double scale_ = 1.0;  // of the product, where the weight in our layout does not have it
  int64_t inputs_ = 0;
  at::ScalarType type_ = at::kFloat;
  const void* source_ = nullptr;  // where the weight lay,
  int64_t version_ = 0;           // and how often it had been written to
};

}  // namespace capture
