// Recording and repeating work on the CPU as a CUDA graph does on a GPU: what is repeated are LibTorch's operations, on
// the memory and with the numbers of the recording, and none of our code. So what a step keeps on the host, moves in
// memory or waits for shows in tests that need no GPU.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <mutex>
#include <stdexcept>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "capture/train/graph_backend.h"

namespace capture {

/// Operations that wait for the device, or whose result's size depends on numbers there.
inline bool waits(const std::string& name) {
  static const std::unordered_set<std::string> names = {"aten::_local_scalar_dense", "aten::nonzero",
                                                        "aten::is_nonzero",          "aten::equal",
                                                        "aten::masked_select",       "aten::_unique2"};
  return names.contains(name);
}

/// The operations of one recording.
class Tape final : public RecordedWork {
 public:
  /// Does the operation, whose arguments lie on the stack, and keeps it.
  void add(const c10::OperatorHandle& op, c10::DispatchKeySet below, torch::jit::Stack* stack) {
    const std::string& name = op.schema().name();
    if (waits(name)) throw std::runtime_error(name + " waits for the device");
    Call call{.op = op, .arguments = {}, .results = {}};
    const size_t first = stack->size() - op.schema().arguments().size();
    for (size_t i = first; i < stack->size(); ++i) call.arguments.push_back(aliased((*stack)[i]));
    keep_what_is_overwritten(op.schema(), call.arguments);
    op.redispatchBoxed(below, stack);
    std::unordered_set<const void*> given;
    for (const auto& argument : call.arguments) {
      for (const auto& tensor : tensors_in(argument)) given.insert(storage_of(tensor));
    }
    const size_t results = stack->size() - op.schema().returns().size();
    for (size_t i = results; i < stack->size(); ++i) {
      // Views of what was given follow it by themselves.
      for (const auto& tensor : tensors_in((*stack)[i])) {
        const bool is_new = tensor.defined() && !given.contains(storage_of(tensor));
        call.results.push_back(is_new ? tensor.detach() : at::Tensor());
        if (is_new) made_.insert(storage_of(tensor));
      }
    }
    if (!name.starts_with("aten::empty") && !name.starts_with("aten::new_empty")) calls_.push_back(std::move(call));
  }

  /// Memory as it was before the recording.
  void undo() {
    for (auto before = overwritten_.rbegin(); before != overwritten_.rend(); ++before) {
      before->first.copy_(before->second);
    }
    overwritten_.clear();
  }

  void repeat() override {
    const at::AutoDispatchBelowADInplaceOrView operations_alone;
    for (const auto& call : calls_) {
      torch::jit::Stack stack = call.arguments;
      call.op.callBoxed(&stack);
      auto result = call.results.begin();
      for (const auto& value : stack) {
        for (const auto& tensor : tensors_in(value)) {
          if (result->defined()) result->copy_(tensor);
          ++result;
        }
      }
    }
  }

 private:
  struct Call {
    c10::OperatorHandle op;
    torch::jit::Stack arguments;
    std::vector<at::Tensor> results;  // where each tensor that it makes lies; undefined: it makes none
  };

  static const void* storage_of(const at::Tensor& tensor) {
    return tensor.defined() ? tensor.storage().unsafeGetStorageImpl() : nullptr;
  }

  static std::vector<at::Tensor> tensors_in(const c10::IValue& value) {
    if (value.isTensor()) return {value.toTensor()};
    if (value.isTensorList()) return value.toTensorVector();
    return {};
  }

  /// The same memory apart from the graph for gradients.
  static c10::IValue aliased(const c10::IValue& value) {
    if (value.isTensor()) return value.toTensor().defined() ? value.toTensor().detach() : value;
    if (!value.isTensorList()) return value;
    c10::List<at::Tensor> list;
    for (const auto& tensor : tensors_in(value)) list.push_back(tensor.detach());
    return list;
  }

  void keep_what_is_overwritten(const c10::FunctionSchema& schema, const torch::jit::Stack& arguments) {
    for (size_t i = 0; i < arguments.size(); ++i) {
      const auto* alias = schema.arguments()[i].alias_info();
      if (alias == nullptr || !alias->isWrite()) continue;
      for (const auto& tensor : tensors_in(arguments[i])) {
        if (!made_.contains(storage_of(tensor))) overwritten_.emplace_back(tensor, tensor.clone());
      }
    }
  }

  std::vector<Call> calls_;
  std::unordered_set<const void*> made_;
  std::vector<std::pair<at::Tensor, at::Tensor>> overwritten_;  // and what had stood there
};

inline thread_local Tape* current_tape = nullptr;

/// LibTorch's dispatcher comes here below its bookkeeping of gradients, where no other part of LibTorch listens.
constexpr auto kTapeKey = c10::DispatchKey::Fake;

inline void onto_tape(const c10::OperatorHandle& op, c10::DispatchKeySet keys, torch::jit::Stack* stack) {
  const c10::impl::ExcludeDispatchKeyGuard only_once(kTapeKey);
  current_tape->add(op, keys & c10::DispatchKeySet(c10::DispatchKeySet::FULL_AFTER, kTapeKey), stack);
}

TORCH_LIBRARY_IMPL(_, Fake, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&onto_tape>());
}

class TapeBackend final : public GraphBackend {
 public:
  void rehearse(const std::function<void()>& work) override { work(); }

  std::unique_ptr<RecordedWork> record(const std::function<void()>& work) override {
    auto tape = std::make_unique<Tape>();
    at::Generator generator = at::globalContext().defaultGenerator(at::kCPU);
    const at::Tensor state = generator.get_state();
    current_tape = tape.get();
    {
      const c10::impl::IncludeDispatchKeyGuard include(kTapeKey);
      work();
    }
    current_tape = nullptr;
    generator.set_state(state);
    tape->undo();
    ++recordings;
    return tape;
  }

  int64_t recordings = 0;
};

}  // namespace capture
