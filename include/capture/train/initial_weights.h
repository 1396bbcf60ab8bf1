// --init: the weights that a run starts from, in any of the forms that they come in.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "capture/model/hybrid_stream.h"

namespace capture {

/// Fills the model from a .safetensors file: a model of ours, a checkpoint of the published code, or BERT's weights for
/// the text side. Returns the names of the parameters that came from BERT. UserError when it is none of these or does
/// not fit the model.
std::vector<std::string> start_from(const std::filesystem::path& path, HybridStreamModelImpl& model);

}  // namespace capture
