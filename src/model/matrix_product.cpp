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
  const int64_t groups = product.column_groups(at::get_num_threads());
  const auto first_of = [&](int64_t group) { return column_panels * group / groups; };
  // Where there are few groups for the threads, several share one, and each lays it out for itself.
  const int64_t parts = std::clamp<int64_t>(2 * at::get_num_threads() / groups, 1, row_panels);
  const int64_t tasks = groups * parts;
  const int64_t workers = workers_for(tasks);
  const int64_t group_words = (column_panels + groups - 1) / groups * product.column_words();
  at::Tensor scratch;
  if (!columns.defined()) scratch = at::empty({workers, group_words}, at::kInt);
  for_each_task(tasks, [&](int64_t task, int64_t worker) {
    const int64_t group = task / parts, part = task % parts;
    const int64_t begin = first_of(group), end = first_of(group + 1);
    uint32_t* words = nullptr;
    if (columns.defined()) {
      words = words_of(columns) + begin * product.column_words();
    } else {
      words = words_of(scratch) + worker * group_words;
      for (int64_t panel = begin; panel < end; ++panel) {
        product.lay_out_columns(panel, words + (panel - begin) * product.column_words());
      }
    }
    product.multiply(begin, end, row_panels * part / parts, row_panels * (part + 1) / parts, words_of(rows), words,
                     first_of((task + workers) / parts));
  });
}

}  // namespace capture
