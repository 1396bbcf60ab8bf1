#include "varlen_attention.h"

#include <ATen/ATen.h>

#include "capture/model/attention.h"
#include "packed_rows.h"

namespace capture {

namespace {

constexpr int64_t kAligned = 16;  // bytes at a time in which the kernels for packed sequences read

VarlenWay way_of(const at::Tensor& q, double dropout) {
  if (!q.is_cuda()) return VarlenWay::padded;
  const at::Tensor one = q.transpose(0, 1).unsqueeze(0);
  const bool aligned = q.size(2) * q.element_size() % kAligned == 0;
  return varlen_way(at::_fused_sdp_choice(one, one, one, /*attn_mask=*/{}, dropout), aligned, dropout);
}

at::Tensor attend(const at::Tensor& q, const Packing& queries, const at::Tensor& k, const at::Tensor& v,
                  const Packing& keys, double dropout) {
  return varlen_attention(way_of(q, dropout), q, queries, k, v, keys, dropout);
}

/// A packed projection [rows, parts · heads · d] as `parts` views [rows, heads, d].
std::vector<at::Tensor> parts_of(const at::Tensor& rows, int64_t parts, int64_t heads) {
  return rows.unflatten(1, {parts, heads, -1}).unbind(1);
}

Packing packing_of(const Sequences& sequences) {
  return {sequences.starts, sequences.longest};
}

/// Packed rows [rows, …] as [B, longest, …], with zeros behind each sequence.
at::Tensor padded(const at::Tensor& rows, const Packing& packing, const at::Tensor& mask) {
  const at::Tensor first = packing.starts.slice(0, 0, -1).to(at::kLong).unsqueeze(1);
  const at::Tensor from = (first + at::arange(packing.longest, first.options())).clamp_max(rows.size(0) - 1);
  const at::Tensor all = rows.index_select(0, from.flatten()).unflatten(0, {first.size(0), packing.longest});
  return all.masked_fill(mask.logical_not().unsqueeze(-1).unsqueeze(-1), 0.0);
}

/// [B, longest] bool, true where there is a row.
at::Tensor mask_of(const Packing& packing) {
  const at::Tensor lengths = packing.starts.diff().unsqueeze(1);
  return at::arange(packing.longest, lengths.options()).unsqueeze(0) < lengths;
}

at::Tensor by_flash(const at::Tensor& q, const Packing& queries, const at::Tensor& k, const at::Tensor& v,
                    const Packing& keys, double dropout) {
  const auto found =
      at::_flash_attention_forward(q, k, v, queries.starts, keys.starts, queries.longest, keys.longest, dropout,
                                   /*is_causal=*/false, /*return_debug_mask=*/false);
  return std::get<0>(found).flatten(1);
}

at::Tensor by_efficient(const at::Tensor& q, const Packing& queries, const at::Tensor& k, const at::Tensor& v,
                        const Packing& keys, double dropout) {
  constexpr int64_t kNoMask = 0;
  const bool keeps = at::GradMode::is_enabled() && (q.requires_grad() || k.requires_grad() || v.requires_grad());
  const auto found = at::_efficient_attention_forward(q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0), /*bias=*/{},
                                                      queries.starts, keys.starts, queries.longest, keys.longest,
                                                      dropout, kNoMask, /*compute_log_sumexp=*/keeps);
  return std::get<0>(found).squeeze(0).flatten(1);
}

at::Tensor by_padding(const at::Tensor& q, const Packing& queries, const at::Tensor& k, const at::Tensor& v,
                      const Packing& keys, double dropout) {
  const at::Tensor q_mask = mask_of(queries);
  const at::Tensor k_mask = mask_of(keys);
  const auto by_head = [](const at::Tensor& rows, const Packing& packing, const at::Tensor& mask) {
    return padded(rows, packing, mask).transpose(1, 2);
  };
  const at::Tensor contexts = capture::attend(by_head(q, queries, q_mask), by_head(k, keys, k_mask),
                                              by_head(v, keys, k_mask), padding_bias(k_mask), dropout);
  const RowPlaces rows = places_of(queries.starts, q.size(0));
  return contexts.flatten(0, 1).index_select(0, rows.sequences * queries.longest + rows.places);
}

}  // namespace

VarlenWay varlen_way(int64_t for_padded, bool aligned, double dropout) {
  constexpr int64_t kFlash = 1, kEfficient = 2;
  if (!aligned) return VarlenWay::padded;
  if (for_padded == kFlash) return VarlenWay::flash;
  return for_padded == kEfficient && dropout == 0 ? VarlenWay::efficient : VarlenWay::padded;
}

at::Tensor varlen_attention(VarlenWay way, const at::Tensor& q, const Packing& queries, const at::Tensor& k,
                            const at::Tensor& v, const Packing& keys, double dropout) {
  switch (way) {
    case VarlenWay::flash:
      return by_flash(q, queries, k, v, keys, dropout);
    case VarlenWay::efficient:
      return by_efficient(q, queries, k, v, keys, dropout);
    case VarlenWay::padded:
      break;
  }
  return by_padding(q, queries, k, v, keys, dropout);
}

at::Tensor varlen_self_attention(const at::Tensor& qkv, const Sequences& sequences, int64_t heads, double dropout) {
  const auto parts = parts_of(qkv, 3, heads);
  const Packing packing = packing_of(sequences);
  return attend(parts[0], packing, parts[1], parts[2], packing, dropout);
}

std::pair<at::Tensor, at::Tensor> varlen_co_attention(const at::Tensor& text_qkv, const Sequences& text,
                                                      const at::Tensor& region_qkv, const Sequences& regions,
                                                      int64_t heads, double dropout) {
  const auto t = parts_of(text_qkv, 3, heads);
  const auto r = parts_of(region_qkv, 3, heads);
  const Packing t_packing = packing_of(text);
  const Packing r_packing = packing_of(regions);
  const at::Tensor from_text = attend(r[0], r_packing, t[1], t[2], t_packing, dropout);
  return {attend(t[0], t_packing, r[1], r[2], r_packing, dropout), from_text};
}

at::Tensor varlen_attention_of_some(const at::Tensor& queries, const at::Tensor& keys_values,
                                    const Sequences& sequences, int64_t heads, double dropout) {
  const auto q = parts_of(queries, 1, heads);
  const auto kv = parts_of(keys_values, 2, heads);
  const int64_t each = queries.size(0) / sequences.count;
  const Packing asking = {at::arange(sequences.count + 1, sequences.starts.options()) * each, each};
  return attend(q[0], asking, kv[0], kv[1], packing_of(sequences), dropout);
}

}  // namespace capture
