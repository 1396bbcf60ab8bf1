// MessagePack, one value after the other, straight from the bytes. Nothing is copied and nothing allocated, so that a
// hostile length costs nothing: it is compared with what is left.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace capture {

class MsgpackReader {
 public:
  enum class Kind { nil, boolean, integer, floating, bytes, array, map, extension };

  /// A value; of an array or a map only its beginning, its items follow as values of their own.
  struct Value {
    Kind kind = Kind::nil;
    bool truth = false;
    bool is_unsigned = false;  ///< an integer that does not fit `integer`
    int64_t integer = 0;
    double floating = 0;
    std::string_view bytes = {};  ///< text, binary data, or an extension's content
    uint64_t items = 0;           ///< of an array, or pairs of a map
  };

  explicit MsgpackReader(std::span<const std::byte> bytes) : rest_(bytes) {}

  /// UserError (no place named) when the bytes end inside the value, or it begins with a byte that no value has.
  Value next();

  /// Passes over one value, its items included. UserError as next(), and when it is nested deeper than 32 levels.
  void skip();

  /// Bytes not read yet.
  size_t left() const { return rest_.size(); }

 private:
  uint64_t big_endian(size_t bytes);
  std::string_view take(uint64_t bytes);
  Value beginning(Kind kind, uint64_t items);

  std::span<const std::byte> rest_;
};

}  // namespace capture
