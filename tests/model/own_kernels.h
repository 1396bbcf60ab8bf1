// Which of our own kernels run.
#pragma once

#include <ATen/record_function.h>

#include <memory>
#include <set>
#include <string>

namespace capture {

/// The events of our own kernels ("capture::…") that this thread records meanwhile.
template <class Work>
std::set<std::string> own_kernels(const Work& work) {
  static thread_local std::set<std::string> heard;
  heard.clear();
  const auto listen = [](const at::RecordFunction& event) -> std::unique_ptr<at::ObserverContext> {
    const std::string name = event.name();
    if (name.starts_with("capture::")) heard.insert(name);
    return nullptr;
  };
  const auto callback = at::addThreadLocalCallback(
      at::RecordFunctionCallback(listen).scopes({at::RecordScope::FUNCTION, at::RecordScope::USER_SCOPE}));
  work();
  at::removeCallback(callback);
  return heard;
}

}  // namespace capture
