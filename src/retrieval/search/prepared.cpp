#include "prepared.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "capture/base/error.h"
#include "capture/tensor/parallel.h"

namespace capture {

namespace {

/// Half a unit in the last place of float32.
constexpr double kRounding = 0x1p-24;
/// Enough rows for a mean: the middles need not be exact, only the same for all.
constexpr int64_t kMiddleRows = 4096;
/// As many words as a cache line holds.
constexpr int64_t kLineWords = 16;

float rounded_up(double value) {
  return static_cast<float>(value * (1 + 0x1p-20));
}

double length_of(const ScoreKernel& kernel, const float* vector, int64_t width) {
  return std::sqrt(kernel.dot(vector, vector, width));
}

std::vector<float> mean_row(const FloatRows& rows) {
  std::vector<double> sums(static_cast<size_t>(rows.width()));
  const int64_t step = std::max<int64_t>(1, rows.count() / kMiddleRows);
  int64_t taken = 0;
  at::Tensor buffer;
  for (int64_t i = 0; i < rows.count(); i += step, ++taken) {
    const float* const row = rows.read(i, i + 1, buffer);
    for (size_t k = 0; k < sums.size(); ++k) sums[k] += row[k];
  }
  std::vector<float> mean;
  for (const double sum : sums) mean.push_back(static_cast<float>(sum / static_cast<double>(taken)));
  return mean;
}

/// The nearest bfloat16, ties to even. Numbers below the normal ones become zero, as the processor would take them.
uint32_t to_bfloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
  return (bits & 0x7F800000) == 0 ? 0 : rounded;
}

struct Lengths {
  double whole;     // of the vector
  double centred;   // of what is left without the middle
  double rounding;  // of what rounding takes from that
};

/// Makes words of one row after the other.
class WordMaker {
 public:
  WordMaker(const Preparation& preparation, const std::vector<float>& middle)
      : kernel_(preparation.kernel),
        middle_(middle),
        centred_(static_cast<size_t>(2 * preparation.words())),
        lost_(centred_.size()) {}

  Lengths make(const float* row, uint32_t* words) {
    const auto width = static_cast<int64_t>(middle_.size());
    const double whole = length_of(kernel_, row, width);
    if (!kernel_.bfloat16) {
      std::copy_n(reinterpret_cast<const uint32_t*>(row), width, words);
      return {whole, whole, 0};
    }
    for (size_t i = 0; i < middle_.size(); ++i) centred_[i] = row[i] - middle_[i];
    for (size_t i = 0; i < centred_.size(); i += 2) {
      const uint32_t low = to_bfloat16(centred_[i]), high = to_bfloat16(centred_[i + 1]);
      words[i / 2] = low | high << 16;
      lost_[i] = centred_[i] - std::bit_cast<float>(low << 16);
      lost_[i + 1] = centred_[i + 1] - std::bit_cast<float>(high << 16);
    }
    // Taking the middle away rounds too.
    const double centred = length_of(kernel_, centred_.data(), width);
    return {whole, centred, length_of(kernel_, lost_.data(), width) + kRounding * centred};
  }

  /// Of the last row.
  const float* centred() const { return centred_.data(); }

 private:
  const ScoreKernel& kernel_;
  const std::vector<float>& middle_;
  std::vector<float> centred_;  // a zero behind an odd width
  std::vector<float> lost_;
};

/// Interleaves up to `lanes` rows of words that stand one after the other; lanes without a row become zero. A cache
/// line of every row at a time: what is read is used up, and what is written stays near.
void interleave(const uint32_t* rows, int64_t count, int64_t words, int64_t lanes, uint32_t* panel) {
  for (int64_t begin = 0; begin < words; begin += kLineWords) {
    const int64_t end = std::min(words, begin + kLineWords);
    for (int64_t lane = 0; lane < lanes; ++lane) {
      for (int64_t w = begin; w < end; ++w) panel[w * lanes + lane] = lane < count ? rows[lane * words + w] : 0;
    }
  }
}

/// A sum of `width` products strays at most this much, relative to the lengths of its vectors: every addition rounds,
/// and what stands around the sum a few times more.
double sum_error(int64_t width) {
  return (1.01 * static_cast<double>(width) + 16) * kRounding;
}

QueryTerms query_terms(const Preparation& preparation, const Lengths& lengths, double offset) {
  const double sums = sum_error(preparation.width());
  const double multiplied = lengths.centred + lengths.rounding;
  // Products too small for a normal float32 may become zero.
  const double vanished = static_cast<double>(preparation.width()) * 0x1p-126;
  QueryTerms terms;
  terms.offset = static_cast<float>(offset);
  terms.per_length = rounded_up(lengths.rounding + sums * (multiplied + preparation.query_middle_length) +
                                8 * kRounding * lengths.whole + vanished);
  terms.per_rounding = rounded_up((1 + sums) * multiplied);
  terms.constant =
      rounded_up(16 * kRounding * lengths.whole * preparation.item_middle_length + vanished * (1 + lengths.whole));
  return terms;
}

}  // namespace

Preparation::Preparation(const ScoreKernel& chosen, const FloatRows& queries, const FloatRows& items)
    : kernel(chosen), query_middle(static_cast<size_t>(queries.width())), item_middle(query_middle.size()) {
  if (kernel.bfloat16 && queries.count() > 0 && items.count() > 0) {
    query_middle = mean_row(queries);
    item_middle = mean_row(items);
  }
  query_middle_length = length_of(kernel, query_middle.data(), width());
  item_middle_length = length_of(kernel, item_middle.data(), width());
}

void Panels::resize(int64_t rows) {
  count_ = (rows + lanes_ - 1) / lanes_;
  const int64_t size = count_ * words_ * lanes_;
  if (!memory_.defined() || memory_.numel() < size) memory_ = at::empty({size}, at::kInt);
  data_ = reinterpret_cast<uint32_t*>(memory_.mutable_data_ptr<int32_t>());
}

PreparedQueries::PreparedQueries(const Preparation& preparation, const float* rows, int64_t count, int64_t first)
    : panels_(preparation.words(), preparation.kernel.query_lanes) {
  const int64_t lanes = preparation.kernel.query_lanes, words = preparation.words(), width = preparation.width();
  panels_.resize(count);
  terms_.resize(static_cast<size_t>(count));
  std::vector<Lengths> lengths(terms_.size());
  const int64_t parts = workers_for(panels_.count());
  for_each_task(parts, [&](int64_t part, int64_t) {
    const int64_t begin = panels_.count() * part / parts, end = panels_.count() * (part + 1) / parts;
    WordMaker maker(preparation, preparation.query_middle);
    std::vector<uint32_t> staged(static_cast<size_t>(lanes * words));
    for (int64_t p = begin; p < end; ++p) {
      const int64_t in_panel = std::min(lanes, count - p * lanes);
      for (int64_t l = 0; l < in_panel; ++l) {
        const int64_t query = p * lanes + l;
        const float* const row = rows + query * width;
        const Lengths& of_row = lengths[static_cast<size_t>(query)] = maker.make(row, staged.data() + l * words);
        terms_[static_cast<size_t>(query)] =
            query_terms(preparation, of_row, preparation.kernel.dot(row, preparation.item_middle.data(), width));
      }
      interleave(staged.data(), in_panel, words, lanes, panels_.panel(p));
    }
  });
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (!std::isfinite(lengths[i].whole)) throw_not_finite("query " + std::to_string(first + static_cast<int64_t>(i)));
    longest_ = std::max(longest_, lengths[i].whole + lengths[i].centred);
  }
  longest_ += preparation.query_middle_length;
}

PreparedItems::PreparedItems(const Preparation& preparation)
    : preparation_(preparation), panels_(preparation.words(), preparation.kernel.item_lanes) {}

int64_t PreparedItems::prepare(const float* rows, int64_t count, ItemTerms* terms) {
  const ScoreKernel& kernel = preparation_.kernel;
  const int64_t lanes = kernel.item_lanes, words = preparation_.words(), width = preparation_.width();
  panels_.resize(count);
  start_memory_ = at::zeros({panels_.count() * lanes}, at::kFloat);
  start_ = start_memory_.mutable_data_ptr<float>();
  most_ = {};
  WordMaker maker(preparation_, preparation_.item_middle);
  std::vector<uint32_t> staged(static_cast<size_t>(lanes * words));
  for (int64_t i = 0; i < count; ++i) {
    const Lengths lengths = maker.make(rows + i * width, staged.data() + i % lanes * words);
    if (!std::isfinite(lengths.whole)) return i;
    if (kernel.bfloat16) {
      start_[i] = static_cast<float>(kernel.dot(preparation_.query_middle.data(), maker.centred(), width));
    }
    terms[i] = {rounded_up(lengths.centred), rounded_up(lengths.rounding)};
    most_ = {std::max(most_.length, terms[i].length), std::max(most_.rounding, terms[i].rounding)};
    if (const int64_t lane = i % lanes; lane == lanes - 1 || i == count - 1) {
      interleave(staged.data(), lane + 1, words, lanes, panels_.panel(i / lanes));
    }
  }
  return -1;
}

}  // namespace capture
