// A run folder: who owns it, whether it may be written to, and which checkpoint a run goes on from.
//
//   config.resolved.json  the configuration as it was used; itself a --config
//   begun_from.json       of a run that was begun from another's checkpoint: which, and how --resume named it
//   vocab.txt             the tokenizer's file, copied; of sentencepiece, tokenizer.model
//   log.txt               what the program said; log.rank1.txt, … what the other processes of the run said
//   metrics.jsonl         one line a log step or validation
//   trace.json            with trainer.profile_steps, what the recorded steps did
//   events.out.tfevents.* the same for TensorBoard
//   checkpoints/          see checkpoint.h
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "capture/base/folder_lock.h"
#include "capture/base/json.h"
#include "capture/text/tokenizer.h"
#include "capture/train/checkpoint.h"

namespace capture {

class RunFolder {
 public:
  /// Says whether a run may start in `path`, without writing anything, and locks a run that is there (FolderLock).
  /// Where that run goes on, a "best" that is a folder is made a link again (CheckpointStore::mend_best). `resume` is
  /// "never", "auto" or the path of a checkpoint or of a run folder. UserError when the folder holds a run and `resume`
  /// is "never", when another process has it, when it holds something that is no run, when the checkpoint asked for is
  /// missing or damaged, with "auto" when all that there are are damaged, or when it is of another run than the one
  /// that the folder holds. But a run that was begun from that path goes on from its own newest checkpoint, as with
  /// "auto"; with either it is begun again as it was where it has none yet.
  RunFolder(std::filesystem::path path, const std::string& resume);
  /// For a process that does not own the folder, and takes the owner's word for where the run goes on.
  RunFolder(std::filesystem::path path, std::optional<Checkpoint> start);

  /// Where the run goes on from, if anywhere. With "auto", damaged checkpoints are passed over with a warning.
  const std::optional<Checkpoint>& start() const { return start_; }

  /// Makes the folder, locks it and removes what a killed process had begun to write. UserError when it cannot be made,
  /// or when another process has it or has made it a run since it was looked at.
  void open();

  /// UserError when the opened folder was renamed or removed meanwhile: to write on would make another one in its
  /// place.
  void require_in_place() const;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path trace() const { return path_ / "trace.json"; }
  CheckpointStore& checkpoints() { return checkpoints_; }

 private:
  void lock();
  void go_on();
  void start_from(const std::string& resume, bool occupied);
  void begin_from(const std::filesystem::path& checkpoint, const std::string& resume);
  void mend_best();

  std::filesystem::path path_;
  CheckpointStore checkpoints_;
  std::optional<Checkpoint> start_;
  Json origin_;  // what open() writes into begun_from.json, if anything
  std::optional<FolderLock> lock_;
};

/// The run that a checkpoint, run/checkpoints/step_N, belongs to.
std::filesystem::path run_of(const Checkpoint& checkpoint);

/// Where a run folder keeps its copy of the tokenizer's file, so that it can be moved to where the original is not.
/// Folders of earlier versions have none.
std::filesystem::path tokenizer_copy(const std::filesystem::path& run, TokenizerType type);

/// Steps are dealt out in batches over all processes, so a run may go on with more or fewer processes only where the
/// batches of all together keep their size. UserError, naming the right value, when they do not. Does nothing when the
/// checkpoint was written by as many processes.
void compare_processes(const Json& state, int64_t batch_size, int64_t world_size);

/// Holds a run's configuration against that of the checkpoint it goes on from, key by key. UserError on a change that
/// would make the checkpoint mean something else; a warning, naming the key, on one that changes the numbers.
void compare_configs(const Json& saved, const Json& now);

}  // namespace capture
