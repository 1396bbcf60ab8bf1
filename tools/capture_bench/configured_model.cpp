#include "bench.h"
#include "capture/base/config.h"

namespace capture {

namespace {

struct ModelSection {
  HybridStreamModelOptions model;
  void visit(FieldVisitor& f) { f.section("model", model, "The model."); }
};

}  // namespace

HybridStreamModelOptions configured_model(const std::string& config) {
  ModelSection section;
  if (!config.empty()) {
    JsonDocument document = read_config(config);
    Json only = Json::object();
    if (document.root.contains("model")) only["model"] = document.root["model"];
    document.root = only;
    read_options(document, section);
  }
  return section.model;
}

}  // namespace capture
