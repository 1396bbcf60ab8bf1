#include "capture/model/weights.h"

#include <ATen/ATen.h>

#include "capture/base/config.h"
#include "capture/base/error.h"
#include "capture/model/official.h"
#include "matching.h"

namespace capture {

namespace {

constexpr const char* kOptionsKey = "capture.model";

void require_match(const RenamedTensors& tensors, const HybridStreamModelOptions& options) {
  Mismatch mismatch(tensors);
  for (const ParameterShape& parameter : parameter_layout(options)) mismatch.expect(parameter.name, parameter.shape);
  mismatch.refuse_unexpected();
  mismatch.throw_if_any("use the weights of a model with the same options");
}

void copy_all(const RenamedTensors& tensors, HybridStreamModelImpl& model) {
  const at::NoGradGuard no_grad;
  for (auto& item : model.named_parameters()) item.value().copy_(tensors.tensor(item.key()));
}

std::string unchanged(const std::string& name) {
  return name;
}

}  // namespace

std::map<std::string, std::string> model_metadata(const HybridStreamModelImpl& model) {
  return {{kOptionsKey, to_line(to_json(model.options()))}};
}

void save_model(const std::filesystem::path& path, const HybridStreamModelImpl& model,
                const std::map<std::string, std::string>& extra) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto& item : model.named_parameters()) tensors.emplace_back(item.key(), item.value());
  std::map<std::string, std::string> metadata = model_metadata(model);
  metadata.insert(extra.begin(), extra.end());
  write_safetensors(path, tensors, metadata);
}

HybridStreamModelOptions model_options(const SafetensorsFile& file) {
  const auto found = file.metadata().find(kOptionsKey);
  if (found == file.metadata().end()) {
    throw UserError(
        {.what = "holds no model options, so it was not written by this project",
         .where = file.path().string(),
         .hint = "for a published checkpoint: capture_weights import " + file.path().string() + " model.safetensors"});
  }
  HybridStreamModelOptions options;
  read_options(parse_json(found->second, file.path().string() + " (" + kOptionsKey + ")"), options);
  return options;
}

HybridStreamModel load_model(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  const HybridStreamModelOptions options = model_options(file);
  const RenamedTensors tensors(file, unchanged);
  require_match(tensors, options);
  HybridStreamModel model(options, std::nullopt);
  copy_all(tensors, *model);
  model->eval();
  return model;
}

void load_weights(const SafetensorsFile& file, HybridStreamModelImpl& model) {
  const RenamedTensors tensors(file, unchanged);
  require_match(tensors, model.options());
  copy_all(tensors, model);
}

}  // namespace capture
