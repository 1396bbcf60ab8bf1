// The published code's checkpoints: which tensor of theirs is which of ours.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "capture/base/json.h"
#include "capture/model/hybrid_stream.h"
#include "capture/tensor/safetensors.h"

namespace capture {

/// One tensor of a published checkpoint. Queries, keys and values are apart there and packed here, so one of ours may
/// be made of several of theirs, stacked along the first dimension.
struct OfficialTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::string ours;  ///< our parameter; empty: the published code owns it and never uses it
  int64_t part = 0;  ///< which of `parts` equal parts of ours
  int64_t parts = 1;
  bool tied = false;  ///< a second name of the word embedding
};

/// Every tensor of the published format at these sizes.
std::vector<OfficialTensor> official_layout(const HybridStreamModelOptions& options);

/// A parameter of ours, known from the options alone.
struct ParameterShape {
  std::string name;
  std::vector<int64_t> shape;
};

/// Every parameter of a HybridStreamModel, without building one.
std::vector<ParameterShape> parameter_layout(const HybridStreamModelOptions& options);

/// Numbers in our parameters, and in the published model's (which owns unused layers; tied weights counted once).
int64_t parameter_count(const HybridStreamModelOptions& options);
int64_t official_parameter_count(const HybridStreamModelOptions& options);

/// The published code's JSON configuration as our options; what it leaves out keeps the paper's value. UserError when
/// it describes a model that the published code could not build either (streams of different widths).
HybridStreamModelOptions options_from_official(const JsonDocument& config);

/// The options with the numbers of layers that a published checkpoint holds, which its configuration states twice over.
HybridStreamModelOptions with_layers_of(const SafetensorsFile& file, HybridStreamModelOptions options);

/// Fills the model from a published checkpoint (a leading "module." of DataParallel is dropped). UserError naming what
/// is missing, unexpected or of another shape; unused tensors may be missing.
void import_official(const SafetensorsFile& file, HybridStreamModelImpl& model);

/// The model under the published names, in the order of official_layout; unused tensors are zeros.
std::vector<std::pair<std::string, at::Tensor>> export_official(const HybridStreamModelImpl& model);

/// Starts the text embedding, the text stream and, where the file has it, the masked-token head from BERT's weights
/// (names with or without "bert.", LayerNorms as weight/bias or gamma/beta; layers beyond the model's are left).
/// Returns our names of the parameters that were set. UserError as import_official.
std::vector<std::string> initialise_from_bert(const SafetensorsFile& file, HybridStreamModelImpl& model);

}  // namespace capture
