// Dropout of our own kernels, seeded by LibTorch's generator.
#pragma once

#include "kernels/dropout.h"

namespace capture {

/// A key from LibTorch's CPU generator, so that seeding that seeds this; none is drawn at probability 0.
kernels::Dropout draw_dropout(double probability);

}  // namespace capture
