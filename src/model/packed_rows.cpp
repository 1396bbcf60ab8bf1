#include "packed_rows.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <span>

namespace capture {

namespace {

struct ReorderRows : torch::autograd::Function<ReorderRows> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& rows,
                            const at::Tensor& sources, const at::Tensor& targets) {
    context->save_for_backward({targets});
    return rows.index_select(0, sources);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    return {gradients[0].index_select(0, context->get_saved_variables()[0]), {}, {}};
  }
};

std::span<const int32_t> numbers(const at::Tensor& starts) {
  TORCH_CHECK(starts.is_cpu() && starts.scalar_type() == at::kInt && starts.is_contiguous(),
              "starts: int32 on the CPU");
  return {starts.const_data_ptr<int32_t>(), static_cast<size_t>(starts.numel())};
}

}  // namespace

JointOrder joint_order(const at::Tensor& text_starts, const at::Tensor& region_starts, const at::Tensor& items) {
  const auto text = numbers(text_starts);
  const auto regions = numbers(region_starts);
  const int64_t tokens = text.back();
  const JointOrder order{at::empty({tokens}, at::kLong), at::empty({regions.back()}, at::kLong),
                         at::empty({tokens + regions.back()}, at::kLong),
                         at::empty({tokens + regions.back()}, at::kLong),
                         at::empty({tokens + regions.back()}, at::kLong)};
  auto* const token_places = order.token_places.mutable_data_ptr<int64_t>();
  auto* const region_places = order.region_places.mutable_data_ptr<int64_t>();
  auto* const sources = order.sources.mutable_data_ptr<int64_t>();
  auto* const targets = order.targets.mutable_data_ptr<int64_t>();
  auto* const streams = order.streams.mutable_data_ptr<int64_t>();
  const int64_t* const numbers_of_pairs = items.defined() ? items.const_data_ptr<int64_t>() : nullptr;
  int64_t joint = 0;
  int64_t stream = 0;
  const auto append = [&](int64_t begin, int64_t end, int64_t before, int64_t* places) {
    for (int64_t row = begin; row < end; ++row) {
      places[row] = row - begin;
      sources[joint] = before + row;
      streams[joint] = stream++;
      targets[before + row] = joint++;
    }
  };
  for (size_t b = 0; b + 1 < text.size(); ++b) {
    stream = (numbers_of_pairs == nullptr ? static_cast<int64_t>(b) : numbers_of_pairs[b]) * kStreamsOfAPair;
    append(text[b], text[b + 1], 0, token_places);
    append(regions[b], regions[b + 1], tokens, region_places);
  }
  return order;
}

JointOrder joint_order_by_operations(const at::Tensor& text_starts, int64_t tokens, const at::Tensor& region_starts,
                                     int64_t regions) {
  const RowPlaces text = places_of(text_starts, tokens);
  const RowPlaces image = places_of(region_starts, regions);
  const at::Tensor all = at::arange(tokens + regions, text.places.options());
  // Before a pair's tokens stand the regions of the pairs before it; before its regions its tokens as well.
  const at::Tensor before_tokens = region_starts.to(at::kLong).index_select(0, text.sequences);
  const at::Tensor before_regions = text_starts.to(at::kLong).index_select(0, image.sequences + 1);
  const at::Tensor targets =
      at::cat({all.narrow(0, 0, tokens) + before_tokens, all.narrow(0, 0, regions) + before_regions});
  return {.token_places = text.places,
          .region_places = image.places,
          .sources = at::empty_like(targets).scatter_(0, targets, all),
          .targets = targets};
}

RowPlaces places_of(const at::Tensor& starts, int64_t rows) {
  const at::Tensor from = starts.to(at::kLong);
  const at::Tensor all = at::arange(rows, from.options());
  // Those who end at or before a row stand before its sequence.
  const at::Tensor sequences = at::searchsorted(from.slice(0, 1), all, /*out_int32=*/false, /*right=*/true);
  return {sequences, all - from.index_select(0, sequences)};
}

at::Tensor reorder_rows(const at::Tensor& rows, const at::Tensor& sources, const at::Tensor& targets) {
  return ReorderRows::apply(rows, sources, targets);
}

}  // namespace capture
