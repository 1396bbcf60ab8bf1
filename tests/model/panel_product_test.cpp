// Each way to multiply numbers of bfloat16, whichever is the fastest here.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "../../src/model/matrix_product.h"
#include "model/small_model.h"

namespace capture {
namespace {

using kernels::Halves;

std::vector<Halves> ways() {
  std::vector<Halves> ways = {Halves::widened, Halves::pairs};
  if (kernels::fastest_halves() == Halves::tiles) ways.push_back(Halves::tiles);
  return ways;
}

const char* name_of(Halves way) {
  return way == Halves::widened ? "widened" : way == Halves::pairs ? "pairs" : "tiles";
}

/// Rows, columns and depth around the sizes that the kernels take at once.
const std::vector<std::array<int64_t, 3>> kProductSizes = {{1, 1, 1},    {13, 31, 5},  {14, 32, 16}, {15, 33, 17},
                                                           {33, 64, 31}, {60, 70, 47}, {2, 3, 129},  {100, 16, 96}};

TEST(PanelProduct, RoundsToBfloat16AndAddsInFloat32InEveryWay) {
  if (!kernels::has_panel_product()) GTEST_SKIP() << "no AVX-512 with bfloat16";
  for (const auto& [rows, columns, depth] : kProductSizes) {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      for (const Halves way : ways()) {
        SCOPED_TRACE(std::to_string(rows) + " × " + std::to_string(columns) + " × " + std::to_string(depth) + " of " +
                     toString(type) + ", " + name_of(way));
        const at::Tensor a = at::randn({rows, depth}).to(type), b = at::randn({columns, depth}).to(type);
        const auto exact = [](const at::Tensor& tensor) { return tensor.to(at::kBFloat16).to(at::kDouble); };
        const at::Tensor expected = exact(a).mm(exact(b).t()).to(at::kFloat);
        const at::Tensor a_places = a.t().contiguous(), b_places = b.t().contiguous();
        for (const bool by_lines : {true, false}) {
          const at::Tensor result = at::full({rows, columns}, NAN);
          kernels::PanelProduct product = {by_lines ? rows_of(a) : columns_of(a_places),
                                           by_lines ? rows_of(b) : columns_of(b_places), depth, /*bfloat16=*/true,
                                           into(result)};
          product.halves = way;
          run_product("product", product);
          expect_near(result, expected, 1e-5, by_lines ? "by lines" : "by places");
          result.fill_(NAN);
          run_product("product", product, laid_out_columns(product));
          expect_near(result, expected, 1e-5, "laid out before");
        }
      }
    }
  }
}

}  // namespace
}  // namespace capture
