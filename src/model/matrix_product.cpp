#include "matrix_product.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>

#include <algorithm>

#include "capture/tensor/parallel.h"

namespace capture {

namespace {

using kernels::PanelProduct;

bool is_half(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kBFloat16;
}

uint32_t* words_of(const at::Tensor& tensor) {
  return static_cast<uint32_t*>(tensor.mutable_data_ptr());
}

}  // namespace

kernels::Factor rows_of(const at::Tensor& matrix) {
  return {matrix.const_data_ptr(), is_half(matrix), /*line_wise=*/true, matrix.stride(0), matrix.size(0)};
}

kernels::Factor columns_of(const at::Tensor& matrix) {
  return {matrix.const_data_ptr(), is_half(matrix), /*line_wise=*/false, matrix.stride(0), matrix.size(1)};
}

kernels::Result into(const at::Tensor& matrix, double scale) {
  return {.data = matrix.mutable_data_ptr(),
          .bfloat16 = is_half(matrix),
          .stride = matrix.stride(0),
          .scale = static_cast<float>(scale)};
}

at::Tensor laid_out_columns(const PanelProduct& product) {
  const at::Tensor laid_out = at::empty({product.column_panels(), product.column_words()}, at::kInt);
  for_each_task(product.column_panels(), [&](int64_t panel, int64_t) {
    product.lay_out_columns(panel, words_of(laid_out) + panel * product.column_words());
  });
  return laid_out;
}

void run_product(const char* name, const PanelProduct& product, const at::Tensor& columns, float* row_sums) {
  RECORD_FUNCTION(
      name, std::vector<c10::IValue>({static_cast<double>(product.rows.lines),
                                      static_cast<double>(product.columns.lines), static_cast<double>(product.depth)}));
  const int64_t row_panels = product.row_panels();
  const int64_t column_panels = product.column_panels();
  if (row_panels == 0 || column_panels == 0) return;
  const at::Tensor rows = at::empty({row_panels, product.row_words()}, at::kInt);
  for_each_task(row_panels, [&](int64_t panel, int64_t) {
    product.lay_out_rows(panel, words_of(rows) + panel * product.row_words(), row_sums);
  });
  // Where there are few column panels for the threads, several share one, and each lays it out for itself.
  const int64_t parts = std::clamp<int64_t>(2 * at::get_num_threads() / column_panels, 1, row_panels);
  const int64_t tasks = column_panels * parts;
  const int64_t workers = workers_for(tasks);
  at::Tensor scratch;
  if (!columns.defined()) scratch = at::empty({workers, product.column_words()}, at::kInt);
  for_each_task(tasks, [&](int64_t task, int64_t worker) {
    const int64_t panel = task / parts, part = task % parts;
    uint32_t* words = nullptr;
    if (columns.defined()) {
      words = words_of(columns) + panel * product.column_words();
    } else {
      words = words_of(scratch) + worker * product.column_words();
      product.lay_out_columns(panel, words);
    }
    product.multiply(panel, row_panels * part / parts, row_panels * (part + 1) / parts, words_of(rows), words,
                     (task + workers) / parts);
  });
}

}  // namespace capture
