#include "breakdown.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace capture {

namespace {

using Clock = std::chrono::steady_clock;

/// LibTorch's callbacks are plain functions: this is how they find who measures, and what they are in the middle of.
struct Measuring {
  Breakdown* breakdown = nullptr;
  std::vector<double> inner;  // of each operation that has begun: seconds of those inside it
};
thread_local Measuring measuring;

struct Begun : at::ObserverContext {
  Clock::time_point start = Clock::now();
  double operations = 0;
};

/// 2 · rows · columns · depth of a product.
double operations_of(const at::RecordFunction& function) {
  const std::string_view name = function.name();
  const auto inputs = function.inputs();
  if (name.starts_with("capture::product")) {
    return 2.0 * inputs[0].toDouble() * inputs[1].toDouble() * inputs[2].toDouble();
  }
  const bool added = name == "aten::addmm";
  if (name != "aten::mm" && name != "aten::bmm" && !added) return 0;
  const at::Tensor left = inputs[added ? 1 : 0].toTensor(), right = inputs[added ? 2 : 1].toTensor();
  return 2.0 * static_cast<double>(left.numel()) * static_cast<double>(right.size(-1));
}

std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& function) {
  measuring.inner.push_back(0);
  auto begun = std::make_unique<Begun>();
  begun->operations = operations_of(function);
  return begun;
}

void end(const at::RecordFunction& function, at::ObserverContext* context) {
  const auto& begun = static_cast<const Begun&>(*context);
  const double seconds = std::chrono::duration<double>(Clock::now() - begun.start).count();
  const double inner = measuring.inner.back();
  measuring.inner.pop_back();
  if (!measuring.inner.empty()) measuring.inner.back() += seconds;
  measuring.breakdown->add(function.name(), seconds - inner, begun.operations);
}

/// Kinds of work by the beginnings of their operations' names; the first that fits decides.
constexpr std::array<std::pair<std::string_view, std::string_view>, 30> kKinds = {{
    {"capture::product.forward", "products, forward"},
    {"capture::product.input", "products, gradient of inputs"},
    {"capture::product.weight", "products, gradient of weights"},
    {"aten::mm", "products, LibTorch's"},
    {"aten::addmm", "products, LibTorch's"},
    {"aten::bmm", "products, LibTorch's"},
    {"mkldnn::", "products, LibTorch's"},
    {"capture::attention", "attention"},
    {"aten::_softmax", "attention"},
    {"aten::_scaled_dot", "attention"},
    {"capture::add_norm", "dropout, sum and LayerNorm"},
    {"aten::native_layer_norm", "LayerNorm"},
    {"capture::gelu", "GELU and SiLU"},
    {"aten::gelu", "GELU and SiLU"},
    {"aten::silu", "GELU and SiLU"},
    {"aten::_fused_adam", "optimiser"},
    {"aten::_foreach_norm", "norm of the gradients"},
    {"aten::linalg_vector_norm", "norm of the gradients"},
    {"aten::bernoulli", "dropout"},
    {"aten::native_dropout", "dropout"},
    {"aten::embedding", "embeddings"},
    {"aten::index", "rows moved"},
    {"aten::cat", "rows moved"},
    {"aten::copy_", "copies and changes of type"},
    {"aten::zero_", "copies and changes of type"},
    {"aten::fill_", "copies and changes of type"},
    {"aten::sum", "sums"},
    {"aten::add", "element by element"},
    {"aten::mul", "element by element"},
    {"aten::div", "element by element"},
}};

std::string kind_of(const std::string& name) {
  for (const auto& [prefix, kind] : kKinds) {
    if (name.starts_with(prefix)) return std::string(kind);
  }
  return "other";
}

using Row = std::pair<std::string, Breakdown::Work>;

std::vector<Row> longest_first(const std::map<std::string, Breakdown::Work>& work) {
  std::vector<Row> rows(work.begin(), work.end());
  std::ranges::sort(rows, std::ranges::greater(), [](const Row& row) { return row.second.seconds; });
  return rows;
}

}  // namespace

Breakdown::Breakdown() : start_(Clock::now()) {
  measuring = {this, {}};
  callback_ = at::addThreadLocalCallback(
      at::RecordFunctionCallback(begin, end)
          .needsInputs(true)
          .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION, at::RecordScope::USER_SCOPE}));
}

Breakdown::~Breakdown() {
  at::removeCallback(callback_);
  measuring.breakdown = nullptr;
}

void Breakdown::add(const std::string& name, double seconds, double operations) {
  Work& work = work_[name];
  work.seconds += seconds;
  work.operations += operations;
  ++work.calls;
}

std::string Breakdown::table(int64_t calls, double ceiling) const {
  const double whole = std::chrono::duration<double>(Clock::now() - start_).count();
  std::map<std::string, Work> kinds, others;
  double known = 0;
  for (const auto& [name, work] : work_) {
    const std::string kind = kind_of(name);
    for (Work* sum : {&kinds[kind], kind == "other" ? &others[name] : nullptr}) {
      if (sum == nullptr) continue;
      sum->seconds += work.seconds;
      sum->calls += work.calls;
      sum->operations += work.operations;
    }
    known += work.seconds;
  }
  kinds["between operations"].seconds = whole - known;

  const auto each = static_cast<double>(calls);
  std::string text =
      "| work | ms | share | calls | GFLOP/s | of the ceiling |\n| --- | --- | --- | --- | --- | --- |\n";
  const auto line = [&](const std::string& name, const Work& work) {
    const double rate = work.operations / work.seconds;
    const std::string speed = work.operations > 0 ? fmt::format("{:.0f}", rate / 1e9) : "";
    const std::string share = work.operations > 0 ? fmt::format("{:.0f}%", 100 * rate / ceiling) : "";
    text += fmt::format("| {} | {:.1f} | {:.1f}% | {:.0f} | {} | {} |\n", name, 1e3 * work.seconds / each,
                        100 * work.seconds / whole, static_cast<double>(work.calls) / each, speed, share);
  };
  for (const auto& [name, work] : longest_first(kinds)) line(name, work);
  line("all", {whole, 0, 0});
  int64_t shown = 0;
  for (const auto& [name, work] : longest_first(others)) {
    if (work.seconds < 0.002 * whole || shown++ == 12) break;
    line("other: " + name, work);
  }
  text += fmt::format("ceiling: {:.0f} GFLOP/s\n", ceiling / 1e9);
  return text;
}

}  // namespace capture
