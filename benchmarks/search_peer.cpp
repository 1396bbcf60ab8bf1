// faiss IndexFlatIP on plain files of numbers, for benchmarks/search_speed.
//
//   search_peer FOLDER QUERIES GALLERY WIDTH DEPTH ROUNDS THREADS
//
// Reads FOLDER/{queries,gallery}.f32, prints the median seconds of a search, and writes FOLDER/faiss.i32.
#include <faiss/IndexFlat.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

extern "C" void openblas_set_num_threads(int) __attribute__((weak));

namespace {

std::vector<float> read(const std::string& path, size_t count) {
  std::vector<float> values(count);
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(count * sizeof(float)));
  if (!file) std::exit((std::fprintf(stderr, "cannot read %s\n", path.c_str()), 1));
  return values;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) return 2;
  const std::string folder = argv[1];
  const auto number = [&](int i) { return static_cast<size_t>(std::atoll(argv[i])); };
  const size_t queries = number(2), gallery = number(3), width = number(4), depth = number(5), rounds = number(6);
  omp_set_num_threads(std::atoi(argv[7]));
  if (openblas_set_num_threads != nullptr) openblas_set_num_threads(std::atoi(argv[7]));
  const std::vector<float> asked = read(folder + "/queries.f32", queries * width);
  faiss::IndexFlatIP index(static_cast<faiss::Index::idx_t>(width));
  index.add(static_cast<faiss::Index::idx_t>(gallery), read(folder + "/gallery.f32", gallery * width).data());
  std::vector<float> scores(queries * depth);
  std::vector<faiss::Index::idx_t> items(queries * depth);
  std::vector<double> seconds;
  for (size_t i = 0; i <= rounds; ++i) {
    const auto start = std::chrono::steady_clock::now();
    index.search(static_cast<faiss::Index::idx_t>(queries), asked.data(), static_cast<faiss::Index::idx_t>(depth),
                 scores.data(), items.data());
    if (i > 0) seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::ranges::sort(seconds);
  const std::vector<int> narrow(items.begin(), items.end());
  std::ofstream(folder + "/faiss.i32", std::ios::binary)
      .write(reinterpret_cast<const char*>(narrow.data()), static_cast<std::streamsize>(narrow.size() * sizeof(int)));
  std::printf("{\"seconds\": %.6f}\n", seconds[seconds.size() / 2]);
}
