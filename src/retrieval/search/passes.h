// Steps that searches on the processor and on other devices share.
#pragma once

#include <span>

#include "rows.h"
#include "shortlist.h"

namespace capture {

/// Scores exactly whatever in the lists is uncertain, item after item, so that the gallery is read once and in order.
/// `queries` are the lists' queries, one after the other.
void score_exactly(const float* queries, const FloatRows& gallery, std::span<Shortlist> lists);

}  // namespace capture
