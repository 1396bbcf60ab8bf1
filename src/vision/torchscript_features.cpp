// The one file that loads TorchScript. The backbone runs once a photo; every region is pooled from its feature map.
#include "torchscript_features.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <sstream>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/tensor/device.h"
#include "matrix.h"

namespace capture {

namespace {

/// Shorter sides are stretched to this, the least that common backbones take.
constexpr int kShortestSide = 32;

constexpr const char* kExpected = "a module that maps [1, 3, height, width] to one feature map [1, C, h, w]";
constexpr const char* kHint = "export it with torch.jit.trace(backbone, example).save(file)";

[[noreturn]] void refuse(const std::string& file, const std::string& what) {
  throw UserError({.what = what, .where = file, .allowed = kExpected, .hint = kHint});
}

/// What an interpreter's message says went wrong: the line behind its trace ("RuntimeError: ..."), or the first line.
std::string reason(const std::exception& error) {
  const auto* const torch_error = dynamic_cast<const c10::Error*>(&error);
  std::istringstream text(torch_error != nullptr ? torch_error->what_without_backtrace() : error.what());
  std::string first;
  std::getline(text, first);
  for (std::string line; std::getline(text, line);) {
    if (line.find("Error: ") != std::string::npos) return line;
  }
  return first;
}

torch::jit::Module load(const std::string& file, at::Device device) {
  if (file.empty()) throw UserError({.what = "is empty", .where = "features.torchscript.file", .allowed = "a path"});
  const MappedFile readable(file);
  try {
    torch::jit::Module module = torch::jit::load(file, device);
    module.eval();
    return module;
  } catch (const std::exception&) {
    refuse(file, "is not a TorchScript file");
  }
}

/// The photo as a normalised [1, 3, H, W] tensor, its longest side `longest_side` pixels.
at::Tensor to_input(const Image& image, const TorchScriptOptions& options) {
  const double scale = static_cast<double>(options.longest_side) / std::max(image.width, image.height);
  const auto side = [&](int length) { return std::max(kShortestSide, static_cast<int>(std::lround(length * scale))); };
  cv::Mat scaled;
  cv::resize(as_matrix(image), scaled, {side(image.width), side(image.height)}, 0, 0,
             scale < 1 ? cv::INTER_AREA : cv::INTER_LINEAR);
  const at::Tensor bgr = at::from_blob(scaled.data, {scaled.rows, scaled.cols, 3}, at::kByte);
  const at::Tensor mean = at::tensor(options.mean, at::kFloat).view({3, 1, 1});
  const at::Tensor std = at::tensor(options.std, at::kFloat).view({3, 1, 1});
  return ((bgr.flip(2).permute({2, 0, 1}).to(at::kFloat) / 255 - mean) / std).unsqueeze(0).contiguous();
}

/// Row i: how much each of `cells` positions counts in the mean over [from_i, to_i) of a side of `length` pixels.
/// The mean is taken over bilinear samples, at least two a cell, as RoIAlign does (He et al., "Mask R-CNN", ICCV 2017);
/// a sample's weights for rows and for columns are independent, so that pooling is two products.
at::Tensor pooling_weights(std::span<const Box> boxes, float Box::*from, float Box::*to, int length, int64_t cells) {
  at::Tensor weights = at::zeros({std::ssize(boxes), cells}, at::kFloat);
  auto weight = weights.accessor<float, 2>();
  const double scale = static_cast<double>(cells) / length;
  for (int64_t i = 0; i < std::ssize(boxes); ++i) {
    const double start = boxes[static_cast<size_t>(i)].*from * scale;
    const double extent = boxes[static_cast<size_t>(i)].*to * scale - start;
    const auto samples = std::max<int64_t>(2, 2 * std::llround(std::ceil(extent)));
    for (int64_t s = 0; s < samples; ++s) {
      const double at = start + extent * (static_cast<double>(s) + 0.5) / static_cast<double>(samples) - 0.5;
      const double inside = std::clamp(at, 0.0, static_cast<double>(cells - 1));
      const auto low = static_cast<int64_t>(inside);
      const auto share = static_cast<float>(inside - static_cast<double>(low));
      weight[i][low] += (1 - share) / static_cast<float>(samples);
      weight[i][std::min(low + 1, cells - 1)] += share / static_cast<float>(samples);
    }
  }
  return weights;
}

class TorchScriptFeatures final : public RegionFeatures {
 public:
  TorchScriptFeatures(const TorchScriptOptions& options, int64_t width)
      : options_(options), device_(parse_device(options.device)), module_(load(options.file, device_)) {
    Image blank{.width = 64, .height = 64, .bgr = std::vector<uint8_t>(size_t{64} * 64 * 3, 128)};
    width_ = feature_map(blank).size(1);
    if (width != 0 && width != width_) {
      throw UserError(
          {.what = "gives features of width " + std::to_string(width_) + ", features.width is " + std::to_string(width),
           .where = options.file,
           .allowed = "equal widths, or features.width 0 to take the backbone's"});
    }
  }

  int64_t width() const override { return width_; }

  std::vector<float> compute(const Image& image, std::span<const Box> boxes) const override {
    const at::InferenceMode no_gradients;
    const at::Tensor map = feature_map(image)[0].to(at::kCPU, at::kFloat);  // [C, h, w]
    const at::Tensor rows = pooling_weights(boxes, &Box::y1, &Box::y2, image.height, map.size(1));
    const at::Tensor columns = pooling_weights(boxes, &Box::x1, &Box::x2, image.width, map.size(2));
    // [n, 1, h] x [C, h, w] -> [n, C, w], then the weighted sum over w.
    const at::Tensor by_column = at::einsum("nh,chw->ncw", {rows, map});
    const at::Tensor pooled = at::einsum("ncw,nw->nc", {by_column, columns}).contiguous();
    return {pooled.const_data_ptr<float>(), pooled.const_data_ptr<float>() + pooled.numel()};
  }

 private:
  at::Tensor feature_map(const Image& image) const {
    const at::InferenceMode no_gradients;
    const at::Tensor input = to_input(image, options_).to(device_);
    // One photo at a time: LibTorch spreads it over the cores, and a module may keep buffers of its own.
    const std::lock_guard lock(mutex_);
    c10::IValue output;
    try {
      output = module_.forward({input});
    } catch (const std::exception& error) {
      refuse(options_.file, "cannot be run on a " + std::to_string(input.size(3)) + " x " +
                                std::to_string(input.size(2)) + " picture (" + reason(error) + ")");
    }
    if (!output.isTensor()) refuse(options_.file, "gives a " + output.tagKind() + " instead of a tensor");
    const at::Tensor map = output.toTensor();
    if (map.dim() != 4 || map.size(0) != 1 || map.numel() == 0 || !at::isFloatingType(map.scalar_type())) {
      std::ostringstream shape;
      shape << map.sizes() << " of " << map.scalar_type();
      refuse(options_.file, "gives a tensor " + shape.str());
    }
    return map;
  }

  TorchScriptOptions options_;
  at::Device device_;
  mutable std::mutex mutex_;
  mutable torch::jit::Module module_;  // forward() is not const
  int64_t width_ = 0;
};

}  // namespace

void TorchScriptOptions::visit(FieldVisitor& f) {
  f.field("file", file, "A module saved by torch.jit: [1, 3, H, W] normalised RGB in, [1, C, h, w] out.");
  f.field("device", device, "Where it runs: auto, cpu, cuda or cuda:N.");
  f.field("longest_side", longest_side, "Photos are scaled so that their longest side has this many pixels.",
          {32, 4096});
  f.field("mean", mean, "Of red, green and blue on a scale of 0 to 1, taken off.");
  f.field("std", std, "Of red, green and blue, divided by.", {1e-6, 1e6});
}

void TorchScriptOptions::check(FieldChecker& c) const {
  c.require(mean.size() == 3, "mean", "has " + std::to_string(mean.size()) + " values", "three: red, green, blue");
  c.require(std.size() == 3, "std", "has " + std::to_string(std.size()) + " values", "three: red, green, blue");
}

std::unique_ptr<RegionFeatures> make_torchscript_features(const TorchScriptOptions& options, int64_t width) {
  return std::make_unique<TorchScriptFeatures>(options, width);
}

}  // namespace capture
