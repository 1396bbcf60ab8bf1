#include "matching.h"

#include <algorithm>
#include <set>

#include "capture/base/error.h"

namespace capture {

namespace {

constexpr size_t kShown = 3;

std::string listed(const std::string& kind, const std::vector<std::string>& items) {
  if (items.empty()) return {};
  std::string text = kind + " " + std::to_string(items.size()) + " (";
  for (size_t i = 0; i < std::min(items.size(), kShown); ++i) text += (i == 0 ? "" : ", ") + items[i];
  return text + (items.size() > kShown ? ", …)" : ")");
}

std::string in_brackets(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

}  // namespace

RenamedTensors::RenamedTensors(const SafetensorsFile& file,
                               const std::function<std::string(const std::string&)>& rename)
    : file_(file) {
  for (const auto& entry : file.entries()) {
    const std::string name = rename(entry.name);
    if (name.empty()) continue;
    const auto [place, fresh] = names_.emplace(name, entry.name);
    if (!fresh) {
      throw UserError({.what = "\"" + place->second + "\" and \"" + entry.name + "\" both mean " + name,
                       .where = file.path().string(),
                       .hint = "keep one of the two"});
    }
  }
}

std::vector<std::string> RenamedTensors::names() const {
  std::vector<std::string> names;
  for (const auto& [name, original] : names_) names.push_back(name);
  return names;
}

std::function<std::string(const std::string&)> without_parallel_prefix(const SafetensorsFile& file) {
  const std::string prefix = "module.";
  const auto& entries = file.entries();
  const bool everywhere =
      std::all_of(entries.begin(), entries.end(), [&](const auto& entry) { return entry.name.starts_with(prefix); });
  return [drop = everywhere ? prefix.size() : 0](const std::string& name) { return name.substr(drop); };
}

bool Mismatch::expect(const std::string& name, const std::vector<int64_t>& shape, bool may_be_missing) {
  expected_.push_back(name);
  if (!tensors_.contains(name)) {
    if (!may_be_missing) missing_.push_back(name);
    return false;
  }
  const auto& entry = tensors_.entry(name);
  if (entry.shape == shape && at::isFloatingType(entry.dtype)) return true;
  misshapen_.push_back(name + " is " + safetensors_dtype(entry.dtype) + " " + in_brackets(entry.shape) +
                       ", expected floating-point " + in_brackets(shape));
  return false;
}

void Mismatch::refuse_unexpected() {
  const std::set<std::string> expected(expected_.begin(), expected_.end());
  for (const std::string& name : tensors_.names()) {
    if (!expected.contains(name)) unexpected_.push_back(name);
  }
}

void Mismatch::throw_if_any(const std::string& hint) const {
  std::string what;
  for (const std::string& part : {listed("tensors missing:", missing_), listed("not expected:", unexpected_),
                                  listed("of another shape:", misshapen_)}) {
    if (!part.empty()) what += (what.empty() ? "" : "; ") + part;
  }
  if (what.empty()) return;
  std::string nearest;
  if (!missing_.empty()) nearest = nearest_word(missing_.front(), unexpected_.empty() ? tensors_.names() : unexpected_);
  if (!nearest.empty()) nearest = "the nearest name to " + missing_.front() + " is " + nearest + "; ";
  throw UserError({.what = what, .where = tensors_.file().path().string(), .hint = nearest + hint});
}

}  // namespace capture
