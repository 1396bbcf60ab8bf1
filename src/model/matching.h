// Holding the tensors that a file has against those that a model needs.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "capture/tensor/safetensors.h"

namespace capture {

/// A file's tensors under names that `rename` has cleaned; an empty result leaves a tensor out.
class RenamedTensors {
 public:
  RenamedTensors(const SafetensorsFile& file, const std::function<std::string(const std::string&)>& rename);

  bool contains(const std::string& name) const { return names_.contains(name); }
  at::Tensor tensor(const std::string& name) const { return file_.tensor(names_.at(name)); }
  const SafetensorsFile::Entry& entry(const std::string& name) const { return file_.entry(names_.at(name)); }
  std::vector<std::string> names() const;
  const SafetensorsFile& file() const { return file_; }

 private:
  const SafetensorsFile& file_;
  std::map<std::string, std::string> names_;
};

/// Drops a "module." that stands before every name.
std::function<std::string(const std::string&)> without_parallel_prefix(const SafetensorsFile& file);

/// Collects what is wrong and says it in one sentence: the first few names of each kind, and how many there are.
class Mismatch {
 public:
  explicit Mismatch(const RenamedTensors& tensors) : tensors_(tensors) {}

  /// Notes the tensor as missing, or as of another shape or no floating-point type. True when all is well.
  bool expect(const std::string& name, const std::vector<int64_t>& shape, bool may_be_missing = false);
  /// Every tensor of the file that was not expected counts as unexpected.
  void refuse_unexpected();
  /// UserError when anything was noted.
  void throw_if_any(const std::string& hint) const;

 private:
  const RenamedTensors& tensors_;
  std::vector<std::string> expected_;
  std::vector<std::string> missing_;
  std::vector<std::string> unexpected_;
  std::vector<std::string> misshapen_;
};

}  // namespace capture
