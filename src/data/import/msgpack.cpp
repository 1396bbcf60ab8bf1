#include "msgpack.h"

#include <bit>
#include <string>

#include "row_checks.h"

namespace capture {

namespace {

using Kind = MsgpackReader::Kind;
using Value = MsgpackReader::Value;

Value integer(int64_t value) {
  return {.kind = Kind::integer, .integer = value};
}

Value content(Kind kind, std::string_view bytes) {
  return {.kind = kind, .bytes = bytes};
}

}  // namespace

uint64_t MsgpackReader::big_endian(size_t bytes) {
  uint64_t value = 0;
  for (const char c : take(bytes)) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

std::string_view MsgpackReader::take(uint64_t bytes) {
  if (bytes > rest_.size()) refuse_row("is MessagePack that ends before its time", {}, "it was cut short or damaged");
  const std::string_view taken(reinterpret_cast<const char*>(rest_.data()), bytes);
  rest_ = rest_.subspan(bytes);
  return taken;
}

MsgpackReader::Value MsgpackReader::beginning(Kind kind, uint64_t items) {
  // Every item takes a byte at least.
  if (items > rest_.size()) refuse_row("is MessagePack with more items than bytes", {}, "it was cut short or damaged");
  return {.kind = kind, .items = items};
}

MsgpackReader::Value MsgpackReader::next() {
  const auto lead = static_cast<unsigned>(big_endian(1));
  if (lead < 0x80) return integer(lead);
  if (lead < 0x90) return beginning(Kind::map, lead & 0x0F);
  if (lead < 0xA0) return beginning(Kind::array, lead & 0x0F);
  if (lead < 0xC0) return content(Kind::bytes, take(lead & 0x1F));
  if (lead >= 0xE0) return integer(static_cast<int64_t>(lead) - 0x100);
  switch (lead) {
    case 0xC0:
      return {};
    case 0xC2:
    case 0xC3:
      return {.kind = Kind::boolean, .truth = lead == 0xC3};
    case 0xC4:
    case 0xC5:
    case 0xC6:
      return content(Kind::bytes, take(big_endian(size_t{1} << (lead - 0xC4))));
    case 0xC7:
    case 0xC8:
    case 0xC9: {
      const uint64_t length = big_endian(size_t{1} << (lead - 0xC7));
      take(1);  // the extension's type
      return content(Kind::extension, take(length));
    }
    case 0xCA:
      return {.kind = Kind::floating, .floating = std::bit_cast<float>(static_cast<uint32_t>(big_endian(4)))};
    case 0xCB:
      return {.kind = Kind::floating, .floating = std::bit_cast<double>(big_endian(8))};
    case 0xCC:
    case 0xCD:
    case 0xCE:
    case 0xCF: {
      const uint64_t value = big_endian(size_t{1} << (lead - 0xCC));
      return {.kind = Kind::integer, .is_unsigned = value >> 63 != 0, .integer = static_cast<int64_t>(value)};
    }
    case 0xD0:
      return integer(static_cast<int8_t>(big_endian(1)));
    case 0xD1:
      return integer(static_cast<int16_t>(big_endian(2)));
    case 0xD2:
      return integer(static_cast<int32_t>(big_endian(4)));
    case 0xD3:
      return integer(static_cast<int64_t>(big_endian(8)));
    case 0xD4:
    case 0xD5:
    case 0xD6:
    case 0xD7:
    case 0xD8:
      take(1);
      return content(Kind::extension, take(uint64_t{1} << (lead - 0xD4)));
    case 0xD9:
    case 0xDA:
    case 0xDB:
      return content(Kind::bytes, take(big_endian(size_t{1} << (lead - 0xD9))));
    case 0xDC:
    case 0xDD:
      return beginning(Kind::array, big_endian(size_t{2} << (lead - 0xDC)));
    case 0xDE:
    case 0xDF:
      return beginning(Kind::map, big_endian(size_t{2} << (lead - 0xDE)));
    default:
      refuse_row("is not MessagePack: no value begins with the byte " + std::to_string(lead));
  }
}

void MsgpackReader::skip() {
  constexpr size_t kMostLevels = 32;
  uint64_t left[kMostLevels] = {1};
  for (size_t level = 0;;) {
    while (left[level] == 0) {
      if (level == 0) return;
      --level;
    }
    --left[level];
    const Value value = next();
    const uint64_t items = value.kind == Kind::map ? 2 * value.items : value.items;
    if (items == 0) continue;
    if (++level == kMostLevels) refuse_row("is MessagePack nested deeper than 32 levels");
    left[level] = items;
  }
}

}  // namespace capture
