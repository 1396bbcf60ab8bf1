#include "capture/data/import/import.h"

#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "capture/base/error.h"
#include "capture/base/in_order.h"
#include "capture/base/progress.h"
#include "capture/data/encoded_sample.h"
#include "capture/data/import/id_info.h"
#include "capture/data/import/rejects_file.h"
#include "capture/data/shard_set_writer.h"
#include "row_checks.h"
#include "row_source.h"

namespace capture {

namespace {

/// "line 7" for {"line": 7}.
std::string in_words(const Json& place) {
  std::string words;
  for (const auto& [name, value] : place.items()) {
    words += (words.empty() ? "" : ", ") + name + " " + (value.is_string() ? value.get<std::string>() : value.dump());
  }
  return words;
}

/// A row's sample, or why there is none.
struct Outcome {
  std::string id = {};
  std::optional<EncodedSample> sample = {};
  std::string problem = {};
  RawRow row = {};  // its place alone; its bytes are gone
};

/// What a worker needs for one piece and the next can use again.
struct Workspace {
  std::string buffer;
  Sample sample;
};

class Workspaces {
 public:
  std::unique_ptr<Workspace> take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return std::make_unique<Workspace>();
    auto workspace = std::move(free_.back());
    free_.pop_back();
    return workspace;
  }
  void give_back(std::unique_ptr<Workspace> workspace) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(workspace));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> free_;
};

/// The message without the place: a reject names its own.
std::string reason_of(const UserError& error) {
  UserError::Parts parts = error.parts();
  parts.where.clear();
  return UserError(parts).what();
}

std::unique_ptr<RowSource> open_source(const ImportOptions& options) {
  auto features = options.format == FeatureFormat::tsv ? open_tsv(options.features) : open_lmdb(options.features);
  if (options.list.empty()) return features;
  return open_list(options.list, std::move(features), options.workers);
}

/// One import. Each step is one member, called in order by run().
class Import {
 public:
  Import(const ImportOptions& options, const std::atomic<bool>& interrupted)
      : options_(options), interrupted_(interrupted), source_(open_source(options)), rules_(options.rules) {
    if (!options.id_info.empty()) id_info_.emplace(options.id_info);
    rules_.titles_elsewhere = rules_.titles_elsewhere || id_info_;
  }

  ImportSummary run() {
    fit_layout();
    writer_ = std::make_unique<ShardSetWriter>(options_.output, layout_, Json{{"made by", "capture_data import"}},
                                               ShardSetOptions{.shard_bytes = options_.shard_bytes,
                                                               .shard_samples = options_.shard_samples,
                                                               .source = describe_source(),
                                                               .start_over = options_.start_over});
    go_on();
    if (!writer_->complete()) {
      import_pieces();
      finish();
    }
    summary_.samples = writer_->size();
    return summary_;
  }

 private:
  /// The width of the features is that of the first row that can be read.
  void fit_layout() {
    constexpr int64_t kMostRows = 1000;
    std::string first_problem;
    int64_t rows = 0;
    Workspace workspace;
    while (rules_.feature_width == 0 && rows < kMostRows) {
      const auto piece = source_->next();
      if (!piece) break;
      (*piece)(workspace.buffer, [&](const RawRow& row) {
        if (rules_.feature_width != 0 || ++rows > kMostRows) return;
        try {
          if (!row.problem.empty()) refuse_row(row.problem);
          source_->parse(row, rules_, workspace.sample);
          const Regions& regions = workspace.sample.views.front();
          rules_.feature_width = std::ssize(regions.features) / regions.count();
        } catch (const UserError& error) {
          if (rows == 1) first_problem = in_words(source_->place(row, rows)) + ", " + error.what();
        }
      });
    }
    if (rules_.feature_width == 0) {
      throw UserError({.what = "none of its first rows can be imported; the first, " + first_problem,
                       .where = (options_.list.empty() ? options_.features : options_.list).string()});
    }
    source_->start_behind(nullptr);
    layout_ = {.feature_width = rules_.feature_width,
               .max_regions = rules_.max_regions,
               .feature_type = options_.feature_type};
    if (options_.tokenizer != nullptr) layout_.tokenizer = mark_of(*options_.tokenizer);
  }

  /// What must be the same for an import to go on.
  Json describe_source() const {
    Json source = {{"rows", source_->identity()},
                   {"min_regions", rules_.min_regions},
                   {"windows_line_ends", rules_.windows_line_ends}};
    if (!options_.id_info.empty()) source["id_info"] = file_identity(options_.id_info);
    return source;
  }

  /// To where the last whole shard ended.
  void go_on() {
    const Json& journal = writer_->journal();
    int64_t reject_bytes = 0;
    if (!journal.is_null()) {
      source_->start_behind(journal.at("behind"));
      summary_.rows = summary_.resumed_rows = journal.at("rows").get<int64_t>();
      summary_.rejected = journal.at("rejected").get<int64_t>();
      reject_bytes = journal.at("reject_bytes").get<int64_t>();
    }
    if (!writer_->complete()) rejects_ = std::make_unique<RejectsFile>(options_.rejects, reject_bytes);
  }

  void import_pieces() {
    ProgressBar progress("import", source_->total(), source_->unit());
    answer_in_order([this] { return source_->next(); }, static_cast<size_t>(options_.workers),
                    [this](const Piece& piece) { return encode_piece(piece); },
                    [&](std::vector<Outcome> outcomes) {
                      stop_if_interrupted();
                      for (Outcome& outcome : outcomes) {
                        take(outcome);
                        progress.update(source_->done(outcome.row, summary_.rows),
                                        summary_.rejected == 0 ? "" : std::to_string(summary_.rejected) + " rejected");
                      }
                    });
    stop_if_interrupted();
  }

  /// Once interrupted, what the workers hand over is not whole.
  void stop_if_interrupted() const {
    if (!interrupted_) return;
    throw UserError({.what = "interrupted",
                     .where = options_.output.string(),
                     .hint = "the same command again goes on behind the last whole shard"});
  }

  /// Runs on the workers.
  std::vector<Outcome> encode_piece(const Piece& piece) {
    auto workspace = workspaces_.take();
    std::vector<Outcome> outcomes;
    piece(workspace->buffer, [&](const RawRow& row) {
      if (interrupted_) return;
      Outcome& outcome = outcomes.emplace_back();
      outcome.row = {.bytes = {}, .key = row.key, .begin = row.begin, .end = row.end};
      try {
        if (!row.problem.empty()) {
          outcome.id = source_->id_of(row);
          refuse_row(row.problem);
        }
        outcome.sample = encode_row(row, workspace->sample);
      } catch (const UserError& error) {
        if (outcome.id.empty()) outcome.id = workspace->sample.id;
        outcome.problem = reason_of(error);
      }
    });
    workspaces_.give_back(std::move(workspace));
    return outcomes;
  }

  EncodedSample encode_row(const RawRow& row, Sample& sample) const {
    sample.id.clear();
    source_->parse(row, rules_, sample);
    if (id_info_) {
      const auto title = id_info_->title(sample.id);
      if (!title) refuse_row("has no title in " + options_.id_info.filename().string());
      check_title(*title);
      sample.titles.assign(1, std::string(*title));
    }
    if (options_.tokenizer != nullptr) add_token_ids(*options_.tokenizer, sample);
    return encode(layout_, sample);
  }

  void take(Outcome& outcome) {
    ++summary_.rows;
    if (outcome.sample) {
      outcome.id = outcome.sample->id;
      try {
        writer_->add(std::move(*outcome.sample), [&] { return note_behind(outcome.row); });
      } catch (const UserError& error) {
        // A sample that is refused names itself; anything else (a full disk) is not the row's fault.
        if (!error.parts().where.starts_with("sample ")) throw;
        outcome.problem = reason_of(error);
      }
    }
    if (!outcome.problem.empty()) reject(outcome);
  }

  Json note_behind(const RawRow& row) {
    return {{"behind", source_->position(row)},
            {"rows", summary_.rows},
            {"rejected", summary_.rejected},
            {"reject_bytes", rejects_->sync()}};
  }

  void reject(const Outcome& outcome) {
    ++summary_.rejected;
    Json line = source_->place(outcome.row, summary_.rows);
    line["id"] = outcome.id;
    line["reason"] = outcome.problem;
    rejects_->add(line);
    if (options_.max_rejects < 0 || summary_.rejected <= options_.max_rejects) return;
    throw UserError({.what = rejected_in_words(summary_.rejected) + "; the last: " + to_line(line),
                     .where = options_.features.string(),
                     .allowed = "at most " + std::to_string(options_.max_rejects) + " (--max-rejects)",
                     .hint = "see " + options_.rejects.string()});
  }

  void finish() {
    if (writer_->size() == 0) {
      throw UserError({.what = "none of the " + std::to_string(summary_.rows) + " rows could be imported",
                       .where = options_.features.string(),
                       .hint = "see " + options_.rejects.string()});
    }
    rejects_->sync();
    writer_->finish();
  }

  const ImportOptions& options_;
  const std::atomic<bool>& interrupted_;
  std::unique_ptr<RowSource> source_;
  RowRules rules_;
  std::optional<IdInfo> id_info_;
  ShardLayout layout_;
  std::unique_ptr<ShardSetWriter> writer_;
  std::unique_ptr<RejectsFile> rejects_;
  Workspaces workspaces_;
  ImportSummary summary_;
};

}  // namespace

ImportSummary import_rows(const ImportOptions& options, const std::atomic<bool>& interrupted) {
  return Import(options, interrupted).run();
}

}  // namespace capture
