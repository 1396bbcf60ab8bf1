// An exponential moving average of a model's weights, kept beside it while it trains (Polyak averaging).
#pragma once

#include <cstdint>
#include <vector>

#include "capture/base/fields.h"
#include "capture/model/hybrid_stream.h"

namespace capture {

struct AverageOptions {
  double decay = 0;  ///< of the average each step; 0: none is kept

  void visit(FieldVisitor& f);
};

/// A second model of the same shape, in evaluation mode and without gradients.
class WeightAverage {
 public:
  /// Starts as a copy of the model's weights, on their device. The model must outlive it.
  WeightAverage(HybridStreamModel& model, double decay);

  /// Takes in the model's weights after `step` finished steps: average = d · average + (1 - d) · weights, where
  /// d = min(decay, (1 + step) / (10 + step)), so that the first weights are soon forgotten. Depends on nothing else.
  /// Weights that are frozen stay as they are.
  void update(int64_t step);

  HybridStreamModel& model() { return average_; }
  const HybridStreamModel& model() const { return average_; }

 private:
  double decay_;
  HybridStreamModel average_;
  std::vector<at::Tensor> sources_;  // those that train,
  std::vector<at::Tensor> targets_;  // and their averages
};

}  // namespace capture
