// Learning rates that fall from the objectives down to the embeddings.
#pragma once

#include <string>
#include <vector>

namespace capture {

/// decay^d for each parameter of a HybridStreamModel, d being how many layers stand between it and the objectives: 0
/// for projections, outputs and heads, 1 for the last joint block, then on through the cross layers and each stream to
/// the embeddings below it. The joint blocks' position table goes with the first of them. (Howard and Ruder,
/// "Universal Language Model Fine-tuning for Text Classification", ACL 2018; as ELECTRA and BEiT use it.)
std::vector<double> layer_scales(const std::vector<std::string>& names, double decay);

}  // namespace capture
