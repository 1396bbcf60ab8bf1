#include "capture/tensor/npy.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <charconv>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capture/base/error.h"
#include "capture/base/files.h"

namespace capture {

static_assert(std::endian::native == std::endian::little, "numbers are written as they stand in memory");

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kPreamble = 10;  // of version 1.0: magic, two bytes of version, two of header length
constexpr size_t kAlignment = 64;
constexpr size_t kMaxDimensions = 32;

constexpr std::array<std::pair<const char*, at::ScalarType>, 8> kTypes = {{{"<f8", at::kDouble},
                                                                           {"<f4", at::kFloat},
                                                                           {"<f2", at::kHalf},
                                                                           {"<i8", at::kLong},
                                                                           {"<i4", at::kInt},
                                                                           {"<i2", at::kShort},
                                                                           {"|i1", at::kChar},
                                                                           {"|u1", at::kByte}}};

struct Header {
  at::ScalarType type = at::kFloat;
  bool fortran_order = false;
  std::vector<int64_t> shape;
};

/// Reads the dictionary: the three keys in any order, nothing else. What numpy writes is the whole grammar.
class HeaderReader {
 public:
  HeaderReader(const std::filesystem::path& path, std::string_view text) : path_(path), text_(text) {}

  Header read() {
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      read_value(key);
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_spaces();
    if (!text_.empty() || !type_ || !order_ || !shape_) refuse("has a header without descr, fortran_order and shape");
    return {*type_, *order_, *shape_};
  }

  [[noreturn]] void refuse(const std::string& what, const std::string& allowed = {}) const {
    throw UserError({.what = what, .where = path_.string(), .allowed = allowed});
  }

 private:
  void read_value(std::string_view key) {
    if (key == "descr") {
      type_ = type_named(quoted());
    } else if (key == "fortran_order") {
      order_ = word() == "True";
    } else if (key == "shape") {
      shape_ = tuple();
    } else {
      refuse("has a header with the key '" + std::string(key) + "'", "descr, fortran_order, shape");
    }
  }

  at::ScalarType type_named(std::string_view name) const {
    std::string allowed;
    for (const auto& [known, type] : kTypes) {
      // One byte has no order, so any mark will do.
      if (name == known || (known[0] == '|' && name.size() == 3 && name.substr(1) == known + 1)) return type;
      allowed += (allowed.empty() ? "" : ", ") + std::string(known);
    }
    refuse("holds numbers of type '" + std::string(name) + "'", allowed);
  }

  std::vector<int64_t> tuple() {
    std::vector<int64_t> sizes;
    expect('(');
    while (!accept(')')) {
      const std::string_view digits = word();
      int64_t size = -1;
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), size);
      if (error != std::errc() || end != digits.data() + digits.size() || size < 0 || sizes.size() == kMaxDimensions) {
        refuse("has a shape that is none");
      }
      sizes.push_back(size);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return sizes;
  }

  void skip_spaces() { text_.remove_prefix(std::min(text_.find_first_not_of(" \n\t"), text_.size())); }

  bool accept(char letter) {
    skip_spaces();
    if (text_.empty() || text_.front() != letter) return false;
    text_.remove_prefix(1);
    return true;
  }

  void expect(char letter) {
    if (!accept(letter)) refuse(std::string("has a header that is damaged where '") + letter + "' should stand");
  }

  std::string_view take(size_t count) {
    const std::string_view taken = text_.substr(0, count);
    text_.remove_prefix(taken.size());
    return taken;
  }

  std::string_view quoted() {
    skip_spaces();
    const char quote = text_.empty() ? '\0' : text_.front();
    const size_t end = quote == '\'' || quote == '"' ? text_.find(quote, 1) : std::string_view::npos;
    if (end == std::string_view::npos) refuse("has a header that is damaged where a word in quotes should stand");
    return take(end + 1).substr(1, end - 1);
  }

  std::string_view word() {
    skip_spaces();
    const auto plain = [](char letter) { return std::isalnum(static_cast<unsigned char>(letter)) != 0; };
    return take(static_cast<size_t>(std::ranges::find_if_not(text_, plain) - text_.begin()));
  }

  const std::filesystem::path& path_;
  std::string_view text_;
  std::optional<at::ScalarType> type_;
  std::optional<bool> order_;
  std::optional<std::vector<int64_t>> shape_;
};

std::string header_of(const at::Tensor& tensor) {
  const auto* const type = std::ranges::find(kTypes, tensor.scalar_type(), &decltype(kTypes)::value_type::second);
  TORCH_INTERNAL_ASSERT(type != kTypes.end(), "write_npy: no such type");
  std::string header = std::string("{'descr': '") + type->first + "', 'fortran_order': False, 'shape': (";
  for (const int64_t size : tensor.sizes()) header += std::to_string(size) + ", ";
  // A tuple of one keeps its comma, others lose the last.
  if (tensor.dim() > 1) header.resize(header.size() - 2);
  if (tensor.dim() == 1) header.pop_back();
  header += "), }";
  const size_t end = (kPreamble + header.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  header.append(end - kPreamble - header.size() - 1, ' ');
  return header + '\n';
}

}  // namespace

void write_npy(const std::filesystem::path& path, const at::Tensor& tensor) {
  const at::Tensor values = tensor.detach().cpu().contiguous();
  const std::string header = header_of(values);
  std::string preamble(kMagic);
  preamble += {1, 0, static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
  AtomicFile file(path);
  file.write(preamble + header);
  file.write(std::span(static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()));
  file.commit();
}

at::Tensor read_npy(const std::filesystem::path& path) {
  const MappedFile file(path);
  const std::string_view bytes(reinterpret_cast<const char*>(file.bytes().data()), file.size());
  const auto refuse = [&](const std::string& what) { throw UserError({.what = what, .where = path.string()}); };
  if (bytes.size() < kPreamble || !bytes.starts_with(kMagic)) refuse("is no .npy file");
  const int version = static_cast<unsigned char>(bytes[6]);
  if (version < 1 || version > 3) refuse("is a .npy file of version " + std::to_string(version) + ", not 1 to 3");
  const size_t length_bytes = version == 1 ? 2 : 4;
  const size_t header_at = 8 + length_bytes;
  uint32_t length = 0;
  if (bytes.size() >= header_at) std::memcpy(&length, bytes.data() + 8, length_bytes);
  if (bytes.size() < header_at || length > bytes.size() - header_at) refuse("is cut short in its header");

  const Header header = HeaderReader(path, bytes.substr(header_at, length)).read();
  const std::string_view data = bytes.substr(header_at + length);
  uint64_t expected = at::elementSize(header.type);
  for (const int64_t size : header.shape) {
    if (__builtin_mul_overflow(expected, static_cast<uint64_t>(size), &expected)) refuse("claims an impossible shape");
  }
  if (data.size() != expected) {
    refuse("holds " + std::to_string(data.size()) + " bytes of numbers, and its header says " +
           std::to_string(expected));
  }
  std::vector<int64_t> shape = header.shape;
  if (header.fortran_order) std::ranges::reverse(shape);
  at::Tensor tensor = at::empty(shape, header.type);
  if (!data.empty()) std::memcpy(tensor.mutable_data_ptr(), data.data(), data.size());
  if (!header.fortran_order) return tensor;
  std::vector<int64_t> reversed(shape.size());
  for (size_t i = 0; i < reversed.size(); ++i) reversed[i] = static_cast<int64_t>(reversed.size() - 1 - i);
  return tensor.permute(reversed).contiguous();
}

}  // namespace capture
