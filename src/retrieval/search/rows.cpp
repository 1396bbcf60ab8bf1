#include "rows.h"

#include <ATen/ATen.h>

#include <utility>

#include "capture/base/error.h"

namespace capture {

FloatRows::FloatRows(at::Tensor rows) : rows_(std::move(rows)) {
  if (rows_.is_cpu() && rows_.scalar_type() == at::kFloat && rows_.is_contiguous()) {
    in_place_ = rows_.const_data_ptr<float>();
  }
}

const float* FloatRows::read(int64_t begin, int64_t end, at::Tensor& buffer) const {
  if (in_place_ != nullptr) return in_place_ + begin * width();
  buffer = rows_.slice(0, begin, end).to(at::kCPU, at::kFloat).contiguous();
  return buffer.const_data_ptr<float>();
}

void throw_not_finite(const std::string& vector) {
  throw UserError({.what = "the embedding of " + vector + " is not finite",
                   .hint = "the weights or the features hold NaN or infinite values"});
}

}  // namespace capture
