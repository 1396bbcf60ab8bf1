// Model files: our parameter names and, in the metadata, the options, so that the file alone rebuilds the model.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "capture/model/hybrid_stream.h"
#include "capture/tensor/safetensors.h"

namespace capture {

/// What a model file says of itself beside its tensors: the options, so that load_model can rebuild the model.
std::map<std::string, std::string> model_metadata(const HybridStreamModelImpl& model);

/// Writes every parameter and the options; `extra` joins the metadata.
void save_model(const std::filesystem::path& path, const HybridStreamModelImpl& model,
                const std::map<std::string, std::string>& extra = {});

/// The options that save_model wrote. UserError when there are none, with the command that makes such a file.
HybridStreamModelOptions model_options(const SafetensorsFile& file);

/// Builds the model of a file on the CPU, in evaluation mode. Names and shapes are checked before it is built.
HybridStreamModel load_model(const std::filesystem::path& path);

/// Fills a model from a file written for the same shapes. UserError naming what is missing, unexpected or of another
/// shape.
void load_weights(const SafetensorsFile& file, HybridStreamModelImpl& model);

}  // namespace capture
