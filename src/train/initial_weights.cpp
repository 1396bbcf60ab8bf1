#include "capture/train/initial_weights.h"

#include <algorithm>

#include "capture/base/error.h"
#include "capture/base/log.h"
#include "capture/model/official.h"
#include "capture/model/weights.h"
#include "capture/tensor/safetensors.h"

namespace capture {

std::vector<std::string> start_from(const std::filesystem::path& path, HybridStreamModelImpl& model) {
  const SafetensorsFile file(path);
  const auto names = file.names();
  const auto has = [&](const char* part) {
    return std::ranges::any_of(names, [&](const auto& name) { return name.find(part) != std::string::npos; });
  };
  if (file.contains(parameter_layout(model.options()).front().name)) {
    load_weights(file, model);
    log::info("starting from the model {}", path.string());
    return {};
  }
  if (has("v_embeddings.image_embeddings.")) {
    import_official(file, model);
    log::info("starting from the published checkpoint {}", path.string());
    return {};
  }
  if (has("embeddings.word_embeddings.")) {
    auto filled = initialise_from_bert(file, model);
    log::info("starting {} parameters from BERT's weights in {}", filled.size(), path.string());
    return filled;
  }
  throw UserError({.what = "holds no weights that this program knows",
                   .where = path.string(),
                   .allowed = "a model of ours, a checkpoint of the published code, or BERT's weights",
                   .hint = "convert a .bin file with tools/convert_checkpoint.py"});
}

}  // namespace capture
