// Sums of patterns, which is all that a synthetic feature is.
#pragma once

#include <span>

namespace capture::synth {

/// A vector as long as the feature that it is added to, and how much of it.
struct Layer {
  const float* values;
  float amount;
};

/// out[i] += amount · values[i], layer after layer in the order given; where `positive`, negative sums become 0 in the
/// end. Every step is rounded by itself, so the bits are the same on every machine.
void add_layers(std::span<const Layer> layers, bool positive, std::span<float> out);

}  // namespace capture::synth
