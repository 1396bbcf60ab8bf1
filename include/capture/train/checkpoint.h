// Checkpoints: a folder a step, of which a reader never sees half of one, and which knows when it is damaged.
//
//   checkpoints/step_400/model.safetensors      the parameters, under the model's own names
//                        optimizer.safetensors  Optimizer::state()
//                        state.json             checksums of the others, and everything else a run needs to go on
//   checkpoints/best -> step_400                the best by the configured metric; a folder in a copy made without
//   links
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "capture/base/json.h"
#include "capture/train/optimizer.h"

namespace capture {

/// One of a checkpoint's files of tensors.
struct TensorFile {
  std::string name = {};  ///< "model.safetensors"
  NamedTensors tensors = {};
  std::map<std::string, std::string> metadata = {};
};

/// One checkpoint, opened and verified.
struct Checkpoint {
  std::filesystem::path folder;
  int64_t step = 0;
  Json state;

  std::filesystem::path model() const { return folder / "model.safetensors"; }
  std::filesystem::path optimizer() const { return folder / "optimizer.safetensors"; }
  std::filesystem::path average() const { return folder / "average.safetensors"; }  ///< with ema.decay alone
};

/// UserError, naming the file, when one is missing, cut short, differs from its checksum or cannot be read, when the
/// format is another version's, or when a folder "step_N" holds another step's.
Checkpoint open_checkpoint(const std::filesystem::path& folder);

/// The checkpoints of one run folder.
class CheckpointStore {
 public:
  /// `folder`: the run's "checkpoints". It need not exist yet.
  explicit CheckpointStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// Writes a checkpoint aside, syncs it and renames it into place; one of the same step is replaced. `files` are at
  /// least model.safetensors and optimizer.safetensors. UserError, with nothing left behind, when the disk is full or
  /// read-only; what is known not to fit is not begun.
  void save(int64_t step, const std::vector<TensorFile>& files, const Json& state) const;

  /// The same of files that `write` makes in the folder it is given; it returns the block checksum of each by its name.
  /// `bytes`: what they take.
  using WriteFiles = std::function<std::map<std::string, uint64_t>(const std::filesystem::path& folder)>;
  void save_with(int64_t step, uint64_t bytes, const WriteFiles& write, const Json& state) const;

  /// Removes all but the newest `keep_last` and the best.
  void prune(int64_t keep_last) const;

  /// Removes every checkpoint of a later step: a run that goes back to `step` will write its own. Those that newest()
  /// passed over are renamed to step_N.damaged instead, which nothing reads or removes.
  void drop_after(int64_t step) const;

  /// Points "best" at a step that was saved. UserError when something stands there that is no link.
  void set_best(int64_t step) const;
  std::optional<int64_t> best() const;
  /// Makes "best" a link again where copying a run without its links has left a folder. The copied checkpoint goes, or
  /// becomes the one of its step where that is missing or damaged; a damaged copy is renamed to best.damaged, and
  /// `damaged` told why. Returns its step; nothing where all is well, or damaged. UserError, with nothing changed, when
  /// "best" is neither a link nor a copy of a checkpoint of this run. For the one process that owns the run.
  std::optional<int64_t> mend_best(const std::function<void(const std::string&)>& damaged) const;

  /// In ascending order.
  std::vector<int64_t> steps() const;
  std::filesystem::path path_of(int64_t step) const;

  /// The newest checkpoint that is whole. `skipped` hears about every damaged one passed over. UserError where one
  /// before that cannot be read, or is of another version: it may be whole.
  std::optional<Checkpoint> newest(const std::function<void(const std::string&)>& skipped);

  /// Removes what a killed writer left behind. For the one process that owns the run.
  void sweep() const;

 private:
  std::filesystem::path folder_;
  std::vector<int64_t> passed_over_;  // by the last newest()
};

}  // namespace capture
