#include "layer_decay.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>

namespace capture {

namespace {

/// 3 for "cross.3.text.qkv.weight" in the stack "cross".
std::optional<int64_t> layer_of(std::string_view name, std::string_view stack) {
  if (!name.starts_with(stack) || !name.substr(stack.size()).starts_with('.')) return std::nullopt;
  const std::string_view rest = name.substr(stack.size() + 1);
  int64_t index = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), index);
  return error == std::errc() && end != rest.data() ? std::optional(index) : std::nullopt;
}

int64_t layers_of(const std::vector<std::string>& names, std::string_view stack) {
  int64_t count = 0;
  for (const auto& name : names) count = std::max(count, layer_of(name, stack).value_or(-1) + 1);
  return count;
}

/// One side of the model before the two meet.
struct Side {
  std::string_view embedding;
  std::string_view stream;
};

}  // namespace

std::vector<double> layer_scales(const std::vector<std::string>& names, double decay) {
  const int64_t joint = layers_of(names, "co_transformer");
  const int64_t fused = joint + layers_of(names, "cross");
  const auto distance = [&](std::string_view name) -> int64_t {
    if (const auto layer = layer_of(name, "co_transformer")) return joint - *layer;
    if (const auto layer = layer_of(name, "cross")) return fused - *layer;
    if (name.starts_with("co_position.")) return joint;
    for (const auto& [embedding, stream] :
         {Side{"text_embedding.", "text_stream"}, Side{"region_embedding.", "image_stream"}}) {
      const int64_t all = fused + layers_of(names, stream);
      if (const auto layer = layer_of(name, stream)) return all - *layer;
      if (name.starts_with(embedding)) return all + 1;
    }
    return 0;
  };
  std::vector<double> scales;
  for (const auto& name : names) scales.push_back(std::pow(decay, static_cast<double>(distance(name))));
  return scales;
}

}  // namespace capture
