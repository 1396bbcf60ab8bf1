#include "capture/train/optimizer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/optim/adamw.h>

#include <cmath>
#include <filesystem>
#include <map>

#include "capture/base/error.h"
#include "capture/tensor/safetensors.h"
#include "capture/train/trainer.h"
#include "common/testing.h"

namespace capture {
namespace {

/// A weight matrix and its bias, the same every time.
NamedTensors two_parameters() {
  at::Tensor weight = at::linspace(-1, 1, 12, at::kFloat).view({4, 3}).requires_grad_();
  at::Tensor bias = at::linspace(0.5, 2, 4, at::kFloat).requires_grad_();
  return {{"layer.weight", weight}, {"layer.bias", bias}};
}

/// Gradients that differ from step to step, and are large enough to be clipped.
void set_gradients(const NamedTensors& parameters, int step) {
  for (const auto& [name, parameter] : parameters) {
    parameter.mutable_grad() = at::cos(at::arange(parameter.numel(), at::kFloat) * (step + 1)).view(parameter.sizes());
  }
}

/// One BertAdam step of one parameter as published: a plain loop in double precision.
struct PlainBertAdam {
  double rate, decay, clip;
  std::vector<double> mean{}, square{};

  void step(at::Tensor& parameter) {
    const at::Tensor gradient = parameter.grad().reshape(-1);
    at::Tensor flat = parameter.detach().view(-1);
    const auto n = static_cast<size_t>(flat.numel());
    mean.resize(n);
    square.resize(n);
    double norm = 0;
    for (size_t i = 0; i < n; ++i) norm += std::pow(gradient[static_cast<int64_t>(i)].item<double>(), 2);
    const double factor = std::min(1.0, clip / (std::sqrt(norm) + 1e-6));
    for (size_t i = 0; i < n; ++i) {
      const auto at = static_cast<int64_t>(i);
      const double g = gradient[at].item<double>() * factor;
      mean[i] = 0.9 * mean[i] + 0.1 * g;
      square[i] = 0.999 * square[i] + 0.001 * g * g;
      const double value = flat[at].item<double>();
      flat[at] = value - rate * (mean[i] / (std::sqrt(square[i]) + 1e-6) + decay * value);
    }
  }
};

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

const at::Tensor kFinite = at::zeros({1});

TEST(Optimizer, BertAdamIsThePublishedLoop) {
  const NamedTensors ours = two_parameters();
  NamedTensors plain = two_parameters();
  Optimizer optimizer(ours, {.type = OptimizerType::bert_adam, .learning_rate = 0.05, .epsilon = 1e-6});
  PlainBertAdam weight{.rate = 0.05, .decay = 0.01, .clip = 1.0};
  PlainBertAdam bias{.rate = 0.05, .decay = 0.0, .clip = 1.0};
  for (int step = 0; step < 20; ++step) {
    set_gradients(ours, step);
    set_gradients(plain, step);
    optimizer.step(1.0, kFinite);
    weight.step(plain[0].second);
    bias.step(plain[1].second);
  }
  EXPECT_LT(largest_difference(ours[0].second, plain[0].second), 1e-5);
  EXPECT_LT(largest_difference(ours[1].second, plain[1].second), 1e-5);
}

TEST(Optimizer, AdamWIsLibTorchsWithGlobalClipping) {
  const NamedTensors ours = two_parameters();
  const NamedTensors theirs = two_parameters();
  Optimizer optimizer(ours, {.learning_rate = 0.05, .weight_decay = 0.1, .clip_norm = 0.5});
  torch::optim::AdamW decayed({theirs[0].second}, torch::optim::AdamWOptions(0.05).weight_decay(0.1));
  torch::optim::AdamW plain({theirs[1].second}, torch::optim::AdamWOptions(0.05).weight_decay(0.0));
  for (int step = 0; step < 20; ++step) {
    set_gradients(ours, step);
    set_gradients(theirs, step);
    const double norm =
        std::hypot(theirs[0].second.grad().norm().item<double>(), theirs[1].second.grad().norm().item<double>());
    for (const auto& [name, parameter] : theirs) parameter.grad().mul_(std::min(1.0, 0.5 / (norm + 1e-6)));
    EXPECT_NEAR(optimizer.step(1.0, kFinite).item<double>(), norm, 1e-5);
    decayed.step();
    plain.step();
  }
  EXPECT_LT(largest_difference(ours[0].second, theirs[0].second), 1e-5);
  EXPECT_LT(largest_difference(ours[1].second, theirs[1].second), 1e-5);
}

TEST(Optimizer, DecayNeverFallsOnVectors) {
  const NamedTensors parameters = two_parameters();
  const at::Tensor weight = parameters[0].second.detach().clone();
  const at::Tensor bias = parameters[1].second.detach().clone();
  Optimizer optimizer(parameters, {.learning_rate = 0.1, .weight_decay = 0.5});
  for (const auto& [name, parameter] : parameters) parameter.mutable_grad() = at::zeros_like(parameter);
  optimizer.step(1.0, kFinite);
  EXPECT_LT(largest_difference(parameters[0].second, weight * 0.95), 1e-6);
  EXPECT_EQ(largest_difference(parameters[1].second, bias), 0);
}

TEST(Optimizer, NothingChangesWhenAGradientOrALossIsNotFinite) {
  const NamedTensors parameters = two_parameters();
  Optimizer optimizer(parameters, {.learning_rate = 0.1});
  set_gradients(parameters, 0);
  optimizer.step(1.0, kFinite);
  std::vector<at::Tensor> before;
  for (const auto& [name, tensor] : optimizer.state()) before.push_back(tensor.clone());
  for (const auto& [name, tensor] : parameters) before.push_back(tensor.detach().clone());

  set_gradients(parameters, 1);
  parameters[1].second.grad()[0] = NAN;
  optimizer.step(1.0, kFinite);
  set_gradients(parameters, 1);
  optimizer.step(1.0, at::full({2}, INFINITY));

  std::vector<at::Tensor> after;
  for (const auto& [name, tensor] : optimizer.state()) after.push_back(tensor);
  for (const auto& [name, tensor] : parameters) after.push_back(tensor);
  for (size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(before[i].equal(after[i])) << i;
}

TEST(Optimizer, TheLongestPrefixDecidesTheRate) {
  const NamedTensors parameters = two_parameters();
  Optimizer optimizer(parameters,
                      {.learning_rate = 0.1,
                       .weight_decay = 0,
                       .initialized_scale = 0.5,
                       .scales = {{"layer.bias", 0.0}, {"layer", 0.1}}},
                      {"layer.weight"});
  const at::Tensor weight = parameters[0].second.detach().clone();
  const at::Tensor bias = parameters[1].second.detach().clone();
  set_gradients(parameters, 0);
  optimizer.step(1.0, kFinite);
  // Adam's first update is the rate itself, wherever the gradient is not 0.
  EXPECT_NEAR(largest_difference(parameters[0].second, weight), 0.01, 1e-4);
  EXPECT_EQ(largest_difference(parameters[1].second, bias), 0);
  EXPECT_FALSE(parameters[1].second.requires_grad());
}

TEST(Optimizer, ParametersFromBertHaveARateOfTheirOwn) {
  const NamedTensors parameters = two_parameters();
  Optimizer optimizer(parameters, {.learning_rate = 0.1, .weight_decay = 0, .initialized_scale = 0.1},
                      {"layer.weight"});
  const at::Tensor weight = parameters[0].second.detach().clone();
  const at::Tensor bias = parameters[1].second.detach().clone();
  set_gradients(parameters, 0);
  optimizer.step(1.0, kFinite);
  EXPECT_NEAR(largest_difference(parameters[0].second, weight), 0.01, 1e-4);
  EXPECT_NEAR(largest_difference(parameters[1].second, bias), 0.1, 1e-3);
}

TEST(Optimizer, APrefixThatFitsNothingIsRefused) {
  // "lay" is no module: prefixes end where a name's part ends.
  EXPECT_THROW(Optimizer(two_parameters(), {.scales = {{"lay", 0.1}}}), UserError);
  EXPECT_NO_THROW(Optimizer(two_parameters(), {.scales = {{"layer", 0.1}}}));
}

TEST(Optimizer, GoesOnExactlyFromItsState) {
  const testing::Folder folder;
  const std::string path = folder.path("optimizer.safetensors");
  const NamedTensors whole = two_parameters();
  const NamedTensors halves = two_parameters();
  const OptimizerOptions options{.learning_rate = 0.05};
  Optimizer reference(whole, options);
  for (int step = 0; step < 6; ++step) {
    set_gradients(whole, step);
    reference.step(1.0, kFinite);
  }
  {
    Optimizer first(halves, options);
    for (int step = 0; step < 3; ++step) {
      set_gradients(halves, step);
      first.step(1.0, kFinite);
    }
    write_safetensors(path, first.state());
  }
  Optimizer second(halves, options);
  second.load_state(SafetensorsFile(path));
  for (int step = 3; step < 6; ++step) {
    set_gradients(halves, step);
    second.step(1.0, kFinite);
  }
  EXPECT_TRUE(whole[0].second.equal(halves[0].second));
  EXPECT_TRUE(whole[1].second.equal(halves[1].second));
}

TEST(Optimizer, FrozenModulesAskForNothingAndKeepNothing) {
  const NamedTensors parameters = two_parameters();
  Optimizer optimizer(parameters, {.learning_rate = 0.1, .frozen = {"layer.weight"}});
  EXPECT_FALSE(parameters[0].second.requires_grad());
  EXPECT_TRUE(parameters[1].second.requires_grad());
  std::vector<std::string> names;
  for (const auto& [name, tensor] : optimizer.state()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"step", "layer.bias.moment1", "layer.bias.moment2"}));
  const at::Tensor weight = parameters[0].second.clone();
  const at::Tensor bias = parameters[1].second.detach().clone();
  (parameters[0].second.sum() + parameters[1].second.sum()).backward();
  EXPECT_FALSE(parameters[0].second.grad().defined());
  optimizer.step(1.0, kFinite);
  EXPECT_TRUE(parameters[0].second.equal(weight));
  EXPECT_FALSE(parameters[1].second.equal(bias));

  EXPECT_THROW(Optimizer(two_parameters(), {.frozen = {"layer"}}), UserError);
  EXPECT_THROW(Optimizer(two_parameters(), {.frozen = {"lay"}}), UserError);
}

TEST(Optimizer, WhatWasFrozenIsNotThawedWithoutItsState) {
  const testing::Folder folder;
  const std::string path = folder.path("optimizer.safetensors");
  write_safetensors(path, Optimizer(two_parameters(), {.frozen = {"layer.weight"}}).state());
  Optimizer all(two_parameters(), {});
  try {
    all.load_state(SafetensorsFile(path));
    ADD_FAILURE() << "taken";
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find("layer.weight.moment1"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("optimizer.frozen"), std::string::npos) << error.what();
  }
  Optimizer fewer(two_parameters(), {.frozen = {"layer.bias"}});
  write_safetensors(path, all.state());
  fewer.load_state(SafetensorsFile(path));
}

TEST(Optimizer, RatesFallFromTheObjectivesDownToTheEmbeddings) {
  HybridStreamModelOptions options;
  options.width = 8;
  options.projection_width = options.vocabulary_size = options.feature_width = 4;
  options.text = {.layers = 2, .heads = 2, .feed_forward = 4};
  options.image = {.layers = 1, .heads = 2, .feed_forward = 4};
  options.cross = {.layers = 1, .heads = 2, .width = 4};
  options.co_transformer = {.layers = 2, .heads = 2};
  HybridStreamModel model(options, 1);
  const NamedTensors parameters = named_parameters_of(*model);
  Optimizer optimizer(parameters, {.learning_rate = 0.1, .weight_decay = 0, .clip_norm = 0, .layer_decay = 0.5});
  std::map<std::string, at::Tensor> before;
  for (const auto& [name, parameter] : parameters) {
    before[name] = parameter.detach().clone();
    parameter.mutable_grad() = at::ones_like(parameter);
  }
  optimizer.step(1.0, kFinite);
  const std::map<std::string, int> layers_above = {{"text_embedding.word.weight", 6},
                                                   {"region_embedding.norm.bias", 5},
                                                   {"text_stream.0.qkv.bias", 5},
                                                   {"text_stream.1.qkv.bias", 4},
                                                   {"image_stream.0.qkv.bias", 4},
                                                   {"cross.0.text.out.bias", 3},
                                                   {"co_position.weight", 2},
                                                   {"co_transformer.0.up.bias", 2},
                                                   {"co_transformer.1.up.bias", 1},
                                                   {"text_projection.bias", 0},
                                                   {"token_head.bias", 0}};
  size_t checked = 0;
  for (const auto& [name, parameter] : parameters) {
    const auto expected = layers_above.find(name);
    if (expected == layers_above.end()) continue;
    ++checked;
    EXPECT_NEAR(largest_difference(parameter, before[name]), 0.1 * std::pow(0.5, expected->second), 1e-5) << name;
  }
  EXPECT_EQ(checked, layers_above.size());
}

}  // namespace
}  // namespace capture
