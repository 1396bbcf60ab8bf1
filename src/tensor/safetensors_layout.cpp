#include "safetensors_layout.h"

#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "capture/base/json.h"
#include "capture/tensor/safetensors.h"

namespace capture {

SafetensorsLayout::SafetensorsLayout(const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                                     const std::map<std::string, std::string>& metadata)
    : order(tensors.size()), begin(tensors.size()), bytes(0) {
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return tensors[a].second.element_size() > tensors[b].second.element_size();
  });
  for (const size_t i : order) {
    begin[i] = bytes;
    bytes += tensors[i].second.nbytes();
  }

  Json header = Json::object();
  if (!metadata.empty()) header[kSafetensorsMetadata] = metadata;
  std::unordered_set<std::string> names = {kSafetensorsMetadata};
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, tensor] = tensors[i];
    TORCH_INTERNAL_ASSERT(names.insert(name).second, "two tensors are called ", name);
    header[name] = {{"dtype", safetensors_dtype(tensor.scalar_type())},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {begin[i], begin[i] + tensor.nbytes()}}};
  }
  std::string text = to_line(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');

  const uint64_t length = text.size();
  head.assign(reinterpret_cast<const char*>(&length), sizeof length);
  head += text;
  for (uint64_t& at : begin) at += head.size();
  bytes += head.size();
}

}  // namespace capture
