#include "capture/model/initialise.h"

#include <cmath>

#include "model/small_model.h"

namespace capture {
namespace {

HybridStreamModelOptions wide() {
  HybridStreamModelOptions options = small_options(1, 1, 1, 2);
  options.width = 240;
  options.text.heads = options.image.heads = options.co_transformer.heads = 4;
  return options;
}

double deviation(const HybridStreamModel& model, const std::string& name) {
  return model->named_parameters()[name].std().item<double>();
}

TEST(Initialise, DrawsWithTheDocumentedDeviations) {
  const HybridStreamModel model(wide(), 3);
  const double into = std::pow(240.0, -0.5);
  const std::pair<const char*, double> expected[] = {
      {"text_embedding.word.weight", 0.02},        {"text_stream.0.qkv.weight", 0.02},
      {"region_head.decoder.weight", 0.02},        {"co_position.weight", 0.02},
      {"co_transformer.0.qkv.weight", into},       {"co_transformer.1.up.weight", into / std::sqrt(2.0)},
      {"co_transformer.1.out.weight", into / 2.0}, {"co_transformer.0.down.weight", into / 2.0}};
  for (const auto& [name, value] : expected) EXPECT_NEAR(deviation(model, name), value, 0.05 * value) << name;
  for (const auto& item : model->named_parameters()) {
    if (item.value().dim() > 1) continue;
    const double constant = item.key().ends_with("bias") ? 0.0 : 1.0;
    EXPECT_TRUE(item.value().eq(constant).all().item<bool>()) << item.key();
  }
}

TEST(Initialise, NormalMeansTheSameDeviationEverywhere) {
  HybridStreamModelOptions options = wide();
  options.co_initialisation = CoInitialisation::normal;
  const HybridStreamModel model(options, 3);
  for (const char* name : {"qkv", "out", "up", "down"}) {
    EXPECT_NEAR(deviation(model, "co_transformer.0." + std::string(name) + ".weight"), 0.02, 0.001) << name;
  }
}

TEST(Initialise, DependsOnTheSeedAndTheNameAlone) {
  const HybridStreamModel model(wide(), 3);
  HybridStreamModelOptions deeper = wide();
  deeper.co_transformer.layers = 3;
  deeper.text.layers = 2;
  const HybridStreamModel same(deeper, 3);
  const HybridStreamModel other(wide(), 4);
  const char* name = "image_stream.0.qkv.weight";
  EXPECT_TRUE(at::equal(model->named_parameters()[name], same->named_parameters()[name]));
  EXPECT_FALSE(at::equal(model->named_parameters()[name], other->named_parameters()[name]));
  EXPECT_FALSE(at::equal(same->named_parameters()["text_stream.0.qkv.weight"],
                         same->named_parameters()["text_stream.1.qkv.weight"]));
}

}  // namespace
}  // namespace capture
