#include <unordered_map>
#include <utility>
#include <vector>

#include "capture/base/error.h"
#include "capture/base/in_order.h"
#include "capture/base/progress.h"
#include "capture/base/text_lines.h"
#include "row_checks.h"
#include "row_source.h"

namespace capture {

namespace {

constexpr size_t kPieceLines = 16;

class ListSource final : public RowSource {
 public:
  ListSource(const std::filesystem::path& path, std::unique_ptr<RowSource> features, int64_t workers)
      : text_(path), features_(std::move(features)), name_(features_->identity().at("file").get<std::string>()) {
    text_.for_each([this](int64_t, std::string_view line) {
      lines_.push_back(line);
      wanted_.emplace(line.substr(0, line.find("#####")), Found{});
    });
    find_features(workers);
  }

  std::optional<Piece> next() override {
    if (next_ == lines_.size()) return {};
    const size_t begin = next_;
    next_ = std::min(begin + kPieceLines, lines_.size());
    return [this, begin, end = next_](std::string&, const VisitRow& visit) {
      for (size_t i = begin; i < end; ++i) visit({.bytes = lines_[i], .end = static_cast<int64_t>(i) + 1});
    };
  }

  void parse(const RawRow& row, const RowRules& rules, Sample& sample) const override {
    sample.id.clear();
    const ListLine line = parse_list_line(row.bytes);
    sample.id = line.id;
    check_title(line.caption);
    for (const auto label : line.labels) {
      if (label.empty()) refuse_row("has an empty label", "labels with #;# between them");
    }
    const Found& found = wanted_.at(line.id);
    if (found.rows != 1) {
      refuse_row(found.rows == 0 ? "has no row in " + name_ : "has " + std::to_string(found.rows) + " rows in " + name_,
                 "one");
    }
    RowRules features_alone = rules;
    features_alone.titles_elsewhere = true;
    std::string buffer;
    try {
      features_->parse(features_->read_again(found.row, buffer), features_alone, sample);
    } catch (const UserError& error) {
      throw UserError({.what = "its row in " + name_ + " " + error.what()});
    }
    sample.titles.assign(1, std::string(line.caption));
    sample.labels.assign(line.labels.begin(), line.labels.end());
  }

  std::string id_of(const RawRow& row) const override {
    return std::string(row.bytes.substr(0, row.bytes.find("#####")));
  }
  RawRow read_again(const RawRow& row, std::string&) const override { return row; }

  Json position(const RawRow& row) const override { return row.end; }
  void start_behind(const Json& position) override {
    const int64_t lines = position.is_null() ? 0 : position.get<int64_t>();
    if (lines < 0 || lines > std::ssize(lines_)) {
      throw UserError({.what = "has no line " + position.dump(), .where = text_.path().string()});
    }
    next_ = static_cast<size_t>(lines);
  }

  Json place(const RawRow&, int64_t number) const override { return {{"line", number}}; }
  int64_t total() const override { return std::ssize(lines_); }
  const char* unit() const override { return "lines"; }
  int64_t done(const RawRow&, int64_t number) const override { return number; }
  Json identity() const override {
    return {{"list", file_identity(text_.path())}, {"features", features_->identity()}};
  }

 private:
  struct Found {
    RawRow row = {};
    int64_t rows = 0;
  };

  /// Goes through the features once and notes where the listed products stand.
  void find_features(int64_t workers) {
    ProgressBar progress("look up", features_->total(), features_->unit());
    int64_t number = 0;
    answer_in_order([this] { return features_->next(); }, static_cast<size_t>(workers),
                    [this](const Piece& piece) {
                      std::vector<std::pair<std::string, RawRow>> rows;
                      std::string buffer;
                      piece(buffer, [&](const RawRow& row) { rows.emplace_back(features_->id_of(row), row); });
                      return rows;
                    },
                    [&](const std::vector<std::pair<std::string, RawRow>>& rows) {
                      for (const auto& [id, row] : rows) {
                        progress.update(features_->done(row, ++number));
                        const auto entry = wanted_.find(id);
                        if (entry == wanted_.end() || ++entry->second.rows > 1) continue;
                        entry->second.row = row;
                      }
                    });
  }

  TextLines text_;
  std::unique_ptr<RowSource> features_;
  std::string name_;
  std::vector<std::string_view> lines_;
  std::unordered_map<std::string_view, Found> wanted_;
  size_t next_ = 0;
};

}  // namespace

std::unique_ptr<RowSource> open_list(const std::filesystem::path& path, std::unique_ptr<RowSource> features,
                                     int64_t workers) {
  return std::make_unique<ListSource>(path, std::move(features), workers);
}

}  // namespace capture
