// kernels/panel_product.h on tensors, over LibTorch's threads.
#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/panel_product.h"

namespace capture {

/// The rows of a matrix, or its columns, as the lines of a factor. The matrix is float32 or bfloat16, its rows
/// contiguous.
kernels::Factor rows_of(const at::Tensor& matrix);
kernels::Factor columns_of(const at::Tensor& matrix);

/// A float32 or bfloat16 matrix to write a product into.
kernels::Result into(const at::Tensor& matrix, double scale = 1.0);

/// All panels of the product's columns, for many products with other rows.
at::Tensor laid_out_columns(const kernels::PanelProduct& product);

/// Computes the product; with `columns`, from what laid_out_columns() made of them. `name` is for profilers, which also
/// learn the sizes. `row_sums` [rows.lines] or null: see PanelProduct::lay_out_rows().
void run_product(const char* name, const kernels::PanelProduct& product, const at::Tensor& columns = {},
                 float* row_sums = nullptr);

}  // namespace capture
