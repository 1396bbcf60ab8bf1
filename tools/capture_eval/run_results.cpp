#include "capture_eval/run_results.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/text_lines.h"

namespace capture {

namespace {

namespace fs = std::filesystem;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// "AP" of one query is "mAP" of many.
std::string mean_name(const std::string& figure) {
  if (figure == "AP" || figure == "AR") return "m" + figure;
  if (figure == "hit_rate") return "hit rate";
  if (figure == "label_coverage") return "label coverage";
  return figure == "RR" ? "MRR" : figure;
}

/// Calls `visit` with the name and value of every figure of a line, as "strict mAP@10".
template <class Visit>
void for_each_figure(const Json& line, Visit visit) {
  for (const auto& [key, protocol] : {std::pair{"strict", "strict "}, std::pair{"product1m_official", "official "}}) {
    const auto found = line.find(key);
    if (found == line.end() || !found->is_object()) continue;
    for (const auto& [name, value] : found->items()) {
      if (value.is_number()) visit(protocol + mean_name(name), value.template get<double>());
      if (!value.is_object() || !name.starts_with("top")) continue;
      for (const auto& [figure, number] : value.items()) {
        if (number.is_number())
          visit(protocol + mean_name(figure) + "@" + name.substr(3), number.template get<double>());
      }
    }
  }
}

[[noreturn]] void fail(const std::string& where, const std::string& what) {
  throw UserError({.what = what, .where = where, .hint = "make the results again with capture_eval --output"});
}

class Reader {
 public:
  explicit Reader(RunResults& run) : run_(run), path_(run.folder / "per_query.jsonl") {}

  void read() {
    const TextLines lines(path_);
    lines.for_each([this](int64_t line, std::string_view text) {
      const std::string where = file_and_line(path_, line);
      add(parse_json(text, where).root, where);
    });
    // A figure that appeared late is missing from the queries before it.
    for (QueryResult& query : run_.queries) query.values.resize(run_.figures.size(), kNone);
  }

 private:
  void add(const Json& line, const std::string& where) {
    if (!line.is_object() || !line.contains("query") || !line["query"].is_string()) fail(where, "names no query");
    QueryResult query{.id = line["query"].get<std::string>(), .labels = {}, .values = {}};
    if (const auto labels = line.find("labels"); labels != line.end()) {
      if (!labels->is_array()) fail(where, "labels is no list");
      for (const Json& label : *labels) query.labels.push_back(label.is_string() ? label.get<std::string>() : "");
    }
    if (const auto positives = line.find("positives"); positives != line.end() && positives->is_number_integer()) {
      query.positives = positives->get<int64_t>();
    }
    query.values.resize(run_.figures.size(), kNone);
    for_each_figure(line, [&](const std::string& name, double value) {
      const size_t column = column_of(name);
      query.values.resize(run_.figures.size(), kNone);
      query.values[column] = value;
    });
    if (!run_.by_id.emplace(query.id, run_.queries.size()).second) {
      throw UserError({.what = "query '" + query.id + "' is ranked twice, so that there is no one figure to compare",
                       .where = where,
                       .hint = "rank each query once"});
    }
    run_.queries.push_back(std::move(query));
  }

  size_t column_of(const std::string& name) {
    const auto [place, is_new] = columns_.emplace(name, run_.figures.size());
    if (is_new) run_.figures.push_back(name);
    return place->second;
  }

  RunResults& run_;
  fs::path path_;
  std::map<std::string, size_t> columns_;
};

fs::path results_folder(const fs::path& path) {
  for (const fs::path& folder : {path, path / "eval"}) {
    if (is_there(folder / "per_query.jsonl") && is_there(folder / "metrics.json")) return folder;
  }
  std::error_code error;
  if (!fs::exists(path, error) && error) {
    throw UserError({.what = "cannot be looked at: " + error.message(), .where = path.string()});
  }
  throw UserError({.what = "holds no results: neither it nor its folder eval has metrics.json and per_query.jsonl",
                   .where = path.string(),
                   .hint = "make them with capture_eval … --output " + path.string()});
}

std::string quoted(const std::string& id) {
  return "query '" + id + "'";
}

[[noreturn]] void refuse(const std::string& what) {
  throw UserError({.what = what, .where = {}, .hint = "only results for the same queries and gallery can be compared"});
}

void require_same_queries(const RunResults& first, const RunResults& second) {
  for (const auto& [here, there] : {std::pair{&first, &second}, std::pair{&second, &first}}) {
    size_t missing = 0;
    const std::string* example = nullptr;
    for (const QueryResult& query : here->queries) {
      if (there->by_id.contains(query.id)) continue;
      if (missing++ == 0) example = &query.id;
    }
    if (missing == 0) continue;
    const std::string others = missing == 1 ? "" : " (and " + std::to_string(missing - 1) + " more)";
    refuse(quoted(*example) + " is in " + here->folder.string() + " but not in " + there->folder.string() + others);
  }
}

void require_same_gallery(const RunResults& first, const RunResults& second) {
  const auto size = [](const RunResults& run) {
    const auto sizes = run.metrics.find("sizes");
    const bool known = sizes != run.metrics.end() && sizes->is_object() && sizes->contains("gallery");
    return known && (*sizes)["gallery"].is_number_integer() ? (*sizes)["gallery"].get<int64_t>() : -1;
  };
  if (size(first) != size(second)) {
    refuse("the galleries differ: " + first.folder.string() + " was measured over " + std::to_string(size(first)) +
           " items, " + second.folder.string() + " over " + std::to_string(size(second)));
  }
}

}  // namespace

size_t QueryResult::products() const {
  return std::set<std::string>(labels.begin(), labels.end()).size();
}

size_t RunResults::figure(const std::string& wanted) const {
  const auto found = std::ranges::find(figures, wanted);
  if (found != figures.end()) return static_cast<size_t>(found - figures.begin());
  std::string all;
  for (const std::string& known : figures) all += (all.empty() ? "" : ", ") + known;
  const std::string near = nearest_word(wanted, figures);
  throw UserError({.what = "no figure is called '" + wanted + "'",
                   .where = folder.string(),
                   .allowed = all,
                   .hint = near.empty() ? "" : "did you mean '" + near + "'?"});
}

RunResults read_results(const fs::path& path) {
  RunResults run;
  run.folder = results_folder(path);
  run.metrics = read_json(run.folder / "metrics.json").root;
  if (!run.metrics.is_object()) fail((run.folder / "metrics.json").string(), "holds no object");
  Reader(run).read();
  if (run.figures.empty()) fail((run.folder / "per_query.jsonl").string(), "holds no figure of any protocol");
  return run;
}

void require_same_task(const RunResults& first, const RunResults& second) {
  require_same_gallery(first, second);
  require_same_queries(first, second);
  for (const QueryResult& query : first.queries) {
    const QueryResult& other = second.queries[second.by_id.at(query.id)];
    if (query.labels != other.labels) {
      refuse(quoted(query.id) + " has other labels in " + first.folder.string() + " than in " + second.folder.string());
    }
    if (query.positives != other.positives) {
      refuse("the galleries differ: " + quoted(query.id) + " has " + std::to_string(query.positives) + " matches in " +
             first.folder.string() + " and " + std::to_string(other.positives) + " in " + second.folder.string());
    }
    for (size_t column = 0; column < first.figures.size(); ++column) {
      const auto there = std::ranges::find(second.figures, first.figures[column]);
      if (there == second.figures.end()) continue;
      const double value = other.values[static_cast<size_t>(there - second.figures.begin())];
      if (std::isnan(query.values[column]) == std::isnan(value)) continue;
      const bool skipped_here = std::isnan(query.values[column]);
      refuse(quoted(query.id) + " has no " + first.figures[column] + " in " +
             (skipped_here ? first : second).folder.string() + ", where it was left out as unanswerable");
    }
  }
}

std::vector<std::string> shared_figures(const std::vector<RunResults>& runs) {
  std::vector<std::string> shared;
  for (const std::string& name : runs.front().figures) {
    const bool everywhere = std::ranges::all_of(
        runs, [&](const RunResults& run) { return std::ranges::find(run.figures, name) != run.figures.end(); });
    if (everywhere) shared.push_back(name);
  }
  if (!shared.empty()) return shared;
  throw UserError({.what = "the runs share no figure",
                   .where = runs.front().folder.string(),
                   .hint = "measure all of them with the same --protocol and --at"});
}

void name_runs(std::vector<RunResults>& runs) {
  std::vector<std::vector<std::string>> parts;
  for (const RunResults& run : runs) {
    std::vector<std::string>& own = parts.emplace_back();
    for (const fs::path& part : fs::absolute(run.folder).lexically_normal()) {
      if (part.has_filename() && part != "/") own.push_back(part.string());
    }
  }
  const auto same_at = [&](bool front) {
    return std::ranges::all_of(parts, [&](const auto& own) {
      return own.size() > 1 && (front ? own.front() == parts[0].front() : own.back() == parts[0].back());
    });
  };
  while (same_at(true)) {
    for (auto& own : parts) own.erase(own.begin());
  }
  while (same_at(false)) {
    for (auto& own : parts) own.pop_back();
  }
  for (size_t i = 0; i < runs.size(); ++i) {
    runs[i].name.clear();
    for (const std::string& part : parts[i]) runs[i].name += (runs[i].name.empty() ? "" : "/") + part;
  }
}

namespace {

const Json* input_of(const RunResults& run, const char* name) {
  const auto inputs = run.metrics.find("inputs");
  if (inputs == run.metrics.end() || !inputs->is_object()) return nullptr;
  const auto input = inputs->find(name);
  return input == inputs->end() ? nullptr : &*input;
}

/// A file of the results: in the run's folder under `name`, or where metrics.json says it was read from.
fs::path source(const RunResults& run, const char* name, const Json* input) {
  if (is_there(run.folder / name)) return run.folder / name;
  if (input == nullptr || !input->is_object()) return {};
  const fs::path file = input->value("file", std::string());
  return !file.empty() && is_there(file) ? file : fs::path();
}

/// Whether a file from outside the run's folder is still the one that was measured.
bool unchanged(const RunResults& run, const std::string& file, uint64_t checksum, const Json* input) {
  if (fs::path(file).parent_path() == run.folder || input == nullptr || !input->is_object()) return true;
  return input->value("xxh3", std::string()) == to_hex(checksum);
}

std::optional<ProductList> read_list(const RunResults& run, const char* name, const Json* input) {
  const fs::path path = source(run, name, input);
  if (path.empty()) return std::nullopt;
  ProductList list = read_product_list(path);
  if (!unchanged(run, path.string(), list.checksum, input)) return std::nullopt;
  return list;
}

}  // namespace

std::optional<ProductList> read_gallery(const RunResults& run) {
  return read_list(run, "gallery_list.txt", input_of(run, "gallery_list"));
}

std::vector<ProductList> read_queries(const RunResults& run) {
  std::vector<ProductList> queries;
  const Json* lists = input_of(run, "query_lists");
  const bool named = !is_there(run.folder / "query_list.txt") && lists != nullptr && lists->is_array();
  for (size_t i = 0; i < (named ? lists->size() : 1); ++i) {
    std::optional<ProductList> list = read_list(run, "query_list.txt", named ? &(*lists)[i] : nullptr);
    if (!list) return {};
    queries.push_back(std::move(*list));
  }
  return queries;
}

std::optional<Rankings> read_run_rankings(const RunResults& run, const GroundTruth& truth) {
  const Json* input = input_of(run, "rankings");
  const fs::path path = source(run, "retrieval_id_list.txt", input);
  if (path.empty()) return std::nullopt;
  Rankings rankings = read_rankings(path, truth);
  if (!unchanged(run, path.string(), rankings.checksum, input)) return std::nullopt;
  return rankings;
}

void require_same_lists(const RunResults& first, const ProductList& gallery, const RunResults& second,
                        const ProductList& other) {
  std::map<std::string_view, std::string_view> labels;
  for (const ListedProduct& item : gallery.products) labels[item.id] = item.labels.front();
  for (const ListedProduct& item : other.products) {
    const auto found = labels.find(item.id);
    if (found == labels.end()) {
      refuse("the galleries differ: item '" + item.id + "' is in " + second.folder.string() + " but not in " +
             first.folder.string());
    }
    if (found->second != item.labels.front()) {
      refuse("the galleries differ: item '" + item.id + "' has another label in " + second.folder.string() +
             " than in " + first.folder.string());
    }
  }
}

}  // namespace capture
