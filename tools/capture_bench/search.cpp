// Exact search over vectors like those of a trained model, and the same vectors and results as plain files for others.
#include "capture/retrieval/search.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdio>

#include "bench.h"
#include "capture/base/files.h"
#include "capture/base/json.h"
#include "capture/tensor/device.h"
#include "capture/tensor/runtime.h"
#include "common/choice.h"

namespace capture {

namespace {

struct Arguments {
  int64_t queries = 6547;
  int64_t gallery = 40033;
  int64_t width = 1024;
  int64_t threads = 0;
  int64_t rounds = 3;
  SearchOptions search;
  std::string device = "cpu";
  std::string save;
};

/// How many products a gallery shows, in the mean.
constexpr int64_t kItemsAProduct = 100;
constexpr int64_t kRows = 1 << 14;

/// Unit vectors around those of products, which lean to one side as embeddings do.
class Products {
 public:
  Products(int64_t count, int64_t width) : centres_(at::randn({count, width}) + at::randn({1, width})) {}

  at::Tensor rows(int64_t count) const {
    at::Tensor rows = at::empty({count, centres_.size(1)});
    for (int64_t begin = 0; begin < count; begin += kRows) {
      at::Tensor some = rows.slice(0, begin, begin + kRows);
      at::randn_out(some, some.sizes());
      some += centres_.index_select(0, at::randint(0, centres_.size(0), {some.size(0)}));
      some /= some.norm(2, 1, true);
    }
    return rows;
  }

 private:
  at::Tensor centres_;
};

/// Ids whose byte order is the order of the rows, as other libraries break ties.
std::vector<std::string> ids_of(int64_t count) {
  std::vector<std::string> ids;
  for (int64_t i = 0; i < count; ++i) {
    char id[24];
    std::snprintf(id, sizeof id, "%012lld", static_cast<long long>(i));
    ids.emplace_back(id);
  }
  return ids;
}

void save_vectors(const std::filesystem::path& path, const at::Tensor& vectors) {
  write_file(path, {static_cast<const char*>(vectors.const_data_ptr()), vectors.nbytes()});
}

void save_matches(const std::filesystem::path& folder, const std::vector<std::vector<Match>>& found) {
  std::string items, scores;
  for (const auto& matches : found) {
    for (const Match& match : matches) {
      items.append(reinterpret_cast<const char*>(&match.item), sizeof match.item);
      scores.append(reinterpret_cast<const char*>(&match.score), sizeof match.score);
    }
  }
  write_file(folder / "items.i32", items);
  write_file(folder / "scores.f32", scores);
}

void run_search(Arguments arguments) {
  const CpuRuntime runtime = tune_cpu_runtime(arguments.threads);
  const at::Device device = parse_device(arguments.device);
  at::manual_seed(42);
  const Products products(std::max<int64_t>(1, arguments.gallery / kItemsAProduct), arguments.width);
  const at::Tensor gallery = products.rows(arguments.gallery), queries = products.rows(arguments.queries);
  if (!arguments.save.empty()) {
    make_folder(arguments.save);
    save_vectors(std::filesystem::path(arguments.save) / "gallery.f32", gallery);
    save_vectors(std::filesystem::path(arguments.save) / "queries.f32", queries);
  }
  const at::Tensor on_gallery = gallery.to(device), on_queries = queries.to(device);
  const std::vector<std::string> ids = ids_of(arguments.gallery);
  const std::vector<std::string_view> views(ids.begin(), ids.end());
  std::vector<std::vector<Match>> found;
  const double seconds = median(
      time_calls(arguments.rounds, [&] { found = exact_search(on_queries, on_gallery, views, arguments.search); }));
  if (!arguments.save.empty()) save_matches(arguments.save, found);
  const double products_made = 2.0 * static_cast<double>(arguments.queries) * static_cast<double>(arguments.gallery) *
                               static_cast<double>(arguments.width);
  const Json line = {{"bench", "search"},
                     {"device", arguments.device},
                     {"dtype", arguments.search.precision == Precision::bfloat16 ? "bf16" : "fp32"},
                     {"kernel", search_kernel(arguments.search).name},
                     {"threads", runtime.threads},
                     {"queries", arguments.queries},
                     {"gallery", arguments.gallery},
                     {"width", arguments.width},
                     {"depth", arguments.search.depth},
                     {"seconds", seconds},
                     {"queries_per_s", static_cast<double>(arguments.queries) / seconds},
                     {"gflops", products_made / seconds / 1e9},
                     {"vectors_mib", static_cast<double>(gallery.nbytes() + queries.nbytes()) / (1 << 20)},
                     {"peak_memory_mib", peak_memory()}};
  std::printf("%s\n", to_line(line).c_str());
}

}  // namespace

Benchmark add_search(CLI::App& app) {
  CLI::App* command = app.add_subcommand("search", "Exact search of a gallery for many queries.");
  auto arguments = std::make_shared<Arguments>();
  const CLI::Range sizes(1, 100'000'000);
  command->add_option("--queries", arguments->queries, "Queries.")->check(sizes)->capture_default_str();
  command->add_option("--gallery", arguments->gallery, "Gallery items.")->check(sizes)->capture_default_str();
  command->add_option("--width", arguments->width, "Numbers a vector.")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command->add_option("--depth", arguments->search.depth, "Items found a query.")->check(sizes)->capture_default_str();
  command
      ->add_option("--dtype", arguments->search.precision,
                   "fp32, or bf16 for the products that choose what is scored exactly.")
      ->transform(one_of<Precision>({{"fp32", Precision::float32}, {"bf16", Precision::bfloat16}}))
      ->type_name("TEXT")
      ->default_str("fp32");
  command->add_option("--rounds", arguments->rounds, "Searches to time, after one that is not.")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("--threads", arguments->threads, "Threads; 0: one a core.")->check(CLI::Range(0, 4096));
  command->add_option("--device", arguments->device, "cpu, cuda, cuda:N or auto.")->capture_default_str();
  command->add_option("--save", arguments->save, "A folder for the vectors and what was found, as plain numbers.");
  command->footer("Example: capture_bench search --gallery 100000 --queries 1000 --dtype bf16");
  return {command, [arguments] { run_search(*arguments); }};
}

}  // namespace capture
