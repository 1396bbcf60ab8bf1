// Products of large matrices, for x86-64 processors with AVX-512 and its bfloat16 instructions, and AMX for bfloat16
// where there is AMX. The libraries that LibTorch brings lose a quarter of such a processor or more on products of a
// few hundred rows, and go over the operands once more for every change of type.
//
// Both factors are laid out in panels of as many lines as the registers take at once, number after number along the
// sum: the first factor's all at once, the second's a few panels at a time, so that these stay in the second-level
// cache while every panel of the first passes by; or long before, where it serves many products.
#pragma once

#include <cstdint>

namespace capture::kernels {

/// Whether the running processor is one of them. Nothing else here may be called on another.
bool has_panel_product();

/// One factor: `lines` rows of the first matrix, or columns of the second; the sum runs along a line.
struct Factor {
  const void* data;
  bool bfloat16;   ///< its numbers in memory; otherwise they are float32
  bool line_wise;  ///< a line's numbers lie side by side; otherwise the lines' numbers of one place do
  int64_t stride;  ///< numbers from one line to the next, or from one place to the next
  int64_t lines;
};

/// What becomes of each number in the end.
enum class Finish { none, gelu, silu };

/// Where the product goes, row by row.
struct Result {
  void* data;
  bool bfloat16;
  int64_t stride;               ///< numbers from one row to the next
  float scale = 1;              ///< of the product
  const float* bias = nullptr;  ///< [columns], added to every row
  float bias_scale = 1;
  Finish finish = Finish::none;
  bool passing = false;  ///< nobody reads it soon: written past the caches where its places allow
};

/// A 32-bit word of a panel.
enum class Word {
  number,   ///< float32
  rounded,  ///< the same, with a number of bfloat16 in it
  pair      ///< two numbers of bfloat16 that are neighbours along the line
};

/// How numbers of bfloat16 are multiplied. The sums are of float32 each time.
enum class Halves {
  widened,  ///< one by one, as float32
  pairs,    ///< two by two, by AVX-512's instruction for it
  tiles     ///< by AMX
};

/// Tiles where there are any, else pairs where they pay.
Halves fastest_halves();

/// result [rows.lines, columns.lines] = finish(scale · rows columnsᵀ + bias_scale · bias), summed in float32.
struct PanelProduct {
  Factor rows;
  Factor columns;
  int64_t depth;  ///< numbers of a line
  bool bfloat16;  ///< whether numbers are rounded to bfloat16 before they are multiplied
  Result result;
  Halves halves = fastest_halves();

  /// Words of a line, and zeros where tiles need more.
  int64_t words() const;
  int64_t row_panels() const;
  int64_t column_panels() const;
  int64_t row_words() const;     ///< of one panel of `rows`
  int64_t column_words() const;  ///< of one panel of `columns`

  /// One panel of a factor, into row_words() or column_words() words. Those of a column panel are aligned to 64 bytes.
  /// `sums` [rows.lines] or null: receives the panel's lines' sums, for which the lines must not be `line_wise`.
  void lay_out_rows(int64_t panel, uint32_t* words, float* sums = nullptr) const;
  void lay_out_columns(int64_t panel, uint32_t* words) const;

  /// Panels [begin, end) of the columns, laid out in `column_panels` one behind the other, in rows of panels [first,
  /// last). `row_panels` holds all row panels. Meanwhile the numbers of as many column panels from `next` on are
  /// brought near.
  void multiply(int64_t begin, int64_t end, int64_t first, int64_t last, const uint32_t* row_panels,
                const uint32_t* column_panels, int64_t next) const;

  /// Into how many groups the column panels are best divided, a group being multiplied at once so that each row panel
  /// is fetched once for all of it, where `workers` share the groups.
  int64_t column_groups(int64_t workers) const;

 private:
  bool multiplies(Halves kind) const { return bfloat16 && halves == kind; }
  Word word() const;
  int64_t row_lines() const;
};

}  // namespace capture::kernels
