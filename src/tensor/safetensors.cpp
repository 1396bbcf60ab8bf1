#include "capture/tensor/safetensors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <span>
#include <string_view>
#include <unordered_map>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/json.h"
#include "safetensors_layout.h"

namespace capture {

static_assert(std::endian::native == std::endian::little, "tensors are mapped as they stand in the file");

namespace {

constexpr uint64_t kMaxHeader = uint64_t{16} << 20;
constexpr size_t kMaxDimensions = 16;

constexpr std::array<std::pair<const char*, at::ScalarType>, 10> kDtypes = {{{"F64", at::kDouble},
                                                                             {"F32", at::kFloat},
                                                                             {"F16", at::kHalf},
                                                                             {"BF16", at::kBFloat16},
                                                                             {"I64", at::kLong},
                                                                             {"I32", at::kInt},
                                                                             {"I16", at::kShort},
                                                                             {"I8", at::kChar},
                                                                             {"U8", at::kByte},
                                                                             {"BOOL", at::kBool}}};

/// Reads and checks the header; every refusal names the file.
class HeaderReader {
 public:
  HeaderReader(const std::filesystem::path& path, std::span<const std::byte> file) : path_(path), file_(file) {}

  void read(std::vector<SafetensorsFile::Entry>& entries, std::map<std::string, std::string>& metadata) {
    const Json header = parse();
    for (const auto& [name, value] : header.items()) {
      if (name == kSafetensorsMetadata) {
        read_metadata(value, metadata);
      } else {
        entries.push_back(read_entry(name, value));
      }
    }
    check_coverage(entries);
  }

 private:
  [[noreturn]] void refuse(const std::string& what, const std::string& allowed = {}) const {
    throw UserError({.what = what, .where = path_.string(), .allowed = allowed, .hint = "get or write the file anew"});
  }

  [[noreturn]] void refuse_tensor(const std::string& name, const std::string& what,
                                  const std::string& allowed = {}) const {
    refuse("tensor \"" + name + "\" " + what, allowed);
  }

  /// torch.save writes a zip file; once it wrote a pickle that starts with a magic number.
  bool is_pickle() const {
    const std::string_view start(reinterpret_cast<const char*>(file_.data()), 4);
    return start == "PK\x03\x04" || start == "\x80\x02\x8a\x0a";
  }

  Json parse() {
    uint64_t length = 0;
    if (file_.size() < sizeof length) refuse("is too short for a safetensors file");
    std::memcpy(&length, file_.data(), sizeof length);
    if (is_pickle()) {
      throw UserError({.what = "is a PyTorch checkpoint, which only Python can read",
                       .where = path_.string(),
                       .allowed = "safetensors",
                       .hint = "convert it: tools/convert_checkpoint.py " + path_.string() + " " +
                               std::filesystem::path(path_).replace_extension(".safetensors").string()});
    }
    const uint64_t rest = file_.size() - sizeof length;
    if (length > rest) {
      refuse("is not a safetensors file or was cut short: its header would have " + std::to_string(length) +
             " bytes, and only " + std::to_string(rest) + " follow");
    }
    if (length > kMaxHeader) {
      refuse("has a header of " + std::to_string(length) + " bytes", "at most " + std::to_string(kMaxHeader));
    }
    const auto* text = reinterpret_cast<const char*>(file_.data()) + sizeof length;
    Json header = parse_json({text, static_cast<size_t>(length)}, path_.string()).root;
    if (!header.is_object()) refuse("has a header that is not a JSON object");
    data_ = sizeof length + length;
    return header;
  }

  void read_metadata(const Json& value, std::map<std::string, std::string>& metadata) const {
    if (!value.is_object()) refuse("has __metadata__ that is not a JSON object");
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) refuse("has __metadata__ \"" + key + "\" that is not a string");
      metadata[key] = text.get<std::string>();
    }
  }

  uint64_t natural(const std::string& name, const Json& value) const {
    if (!value.is_number_unsigned()) {
      refuse_tensor(name, "has " + to_line(value) + " where a count belongs", "whole numbers from 0 up");
    }
    return value.get<uint64_t>();
  }

  at::ScalarType read_dtype(const std::string& name, const Json& value) const {
    std::string known;
    for (const auto& [text, dtype] : kDtypes) {
      if (value == text) return dtype;
      known += (known.empty() ? "" : ", ") + std::string(text);
    }
    refuse_tensor(name, "has dtype " + to_line(value), known);
  }

  SafetensorsFile::Entry read_entry(const std::string& name, const Json& value) const {
    const bool complete = value.is_object() && value.size() == 3 && value.contains("dtype") &&
                          value.contains("shape") && value.contains("data_offsets");
    if (!complete) refuse_tensor(name, "needs exactly the keys dtype, shape and data_offsets");
    const Json& shape = value["shape"];
    const Json& range = value["data_offsets"];
    if (!shape.is_array() || shape.size() > kMaxDimensions) {
      refuse_tensor(name, "has no proper shape", "a list of at most " + std::to_string(kMaxDimensions) + " sizes");
    }
    if (!range.is_array() || range.size() != 2) refuse_tensor(name, "needs two data_offsets");

    SafetensorsFile::Entry entry{
        .name = name, .dtype = read_dtype(name, value["dtype"]), .shape = {}, .offset = 0, .bytes = 0};
    const uint64_t begin = natural(name, range[0]);
    const uint64_t end = natural(name, range[1]);
    const uint64_t size = file_.size() - data_;
    if (begin > end || end > size) {
      refuse_tensor(name, "claims the bytes " + std::to_string(begin) + " to " + std::to_string(end) + " of " +
                              std::to_string(size));
    }
    entry.offset = data_ + begin;
    entry.bytes = end - begin;
    uint64_t bytes = c10::elementSize(entry.dtype);
    for (const Json& item : shape) {
      const uint64_t extent = natural(name, item);
      // Also bounds the sizes of an empty tensor, whose product says nothing about them.
      if (extent > uint64_t{1} << 48 || __builtin_mul_overflow(bytes, extent, &bytes)) {
        refuse_tensor(name, "has the impossible shape " + to_line(shape));
      }
      entry.shape.push_back(static_cast<int64_t>(extent));
    }
    if (bytes != entry.bytes) {
      refuse_tensor(name, "of shape " + to_line(shape) + " and dtype " + safetensors_dtype(entry.dtype) + " needs " +
                              std::to_string(bytes) + " bytes and has " + std::to_string(entry.bytes));
    }
    return entry;
  }

  /// The format allows neither overlaps nor holes, so that the header accounts for every byte.
  void check_coverage(const std::vector<SafetensorsFile::Entry>& entries) const {
    std::vector<const SafetensorsFile::Entry*> sorted;
    for (const auto& entry : entries) sorted.push_back(&entry);
    std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) {
      return std::pair(a->offset, a->bytes) < std::pair(b->offset, b->bytes);
    });
    uint64_t end = data_;
    for (const auto* entry : sorted) {
      if (entry->offset < end) refuse_tensor(entry->name, "overlaps another tensor");
      if (entry->offset > end) refuse_tensor(entry->name, "leaves a hole before its bytes");
      end += entry->bytes;
    }
    if (end != file_.size()) {
      refuse("has " + std::to_string(file_.size() - end) + " bytes that belong to no tensor");
    }
  }

  const std::filesystem::path& path_;
  std::span<const std::byte> file_;
  uint64_t data_ = 0;
};

}  // namespace

struct SafetensorsFile::State {
  std::filesystem::path path;
  MappedFile map;
  std::vector<Entry> entries;
  std::unordered_map<std::string, size_t> index;
  std::map<std::string, std::string> metadata;
};

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) {
  auto state = std::make_shared<State>();
  state->path = path;
  state->map = MappedFile(path);
  HeaderReader(path, state->map.bytes()).read(state->entries, state->metadata);
  for (size_t i = 0; i < state->entries.size(); ++i) state->index[state->entries[i].name] = i;
  state_ = std::move(state);
}

const std::vector<SafetensorsFile::Entry>& SafetensorsFile::entries() const {
  return state_->entries;
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  for (const Entry& entry : state_->entries) names.push_back(entry.name);
  return names;
}

bool SafetensorsFile::contains(const std::string& name) const {
  return state_->index.contains(name);
}

const SafetensorsFile::Entry& SafetensorsFile::entry(const std::string& name) const {
  const auto found = state_->index.find(name);
  if (found != state_->index.end()) return state_->entries[found->second];
  const std::string nearest = nearest_word(name, names());
  throw UserError({.what = "has no tensor \"" + name + "\"",
                   .where = state_->path.string(),
                   .hint = nearest.empty() ? "" : "the nearest name is \"" + nearest + "\""});
}

at::Tensor SafetensorsFile::tensor(const std::string& name) const {
  const Entry& entry = this->entry(name);
  const auto options = at::TensorOptions().dtype(entry.dtype);
  if (entry.bytes == 0) return at::empty(entry.shape, options);
  const std::byte* bytes = state_->map.bytes().data() + entry.offset;
  if (entry.offset % c10::elementSize(entry.dtype) != 0) {
    at::Tensor copy = at::empty(entry.shape, options);
    std::memcpy(copy.data_ptr(), bytes, entry.bytes);
    return copy;
  }
  return at::from_blob(
      const_cast<std::byte*>(bytes), entry.shape, [state = state_](void*) {}, options);
}

const std::map<std::string, std::string>& SafetensorsFile::metadata() const {
  return state_->metadata;
}

const std::filesystem::path& SafetensorsFile::path() const {
  return state_->path;
}

std::string safetensors_dtype(at::ScalarType dtype) {
  for (const auto& [text, known] : kDtypes) {
    if (known == dtype) return text;
  }
  TORCH_INTERNAL_ASSERT(false, "safetensors has no dtype for ", dtype);
}

}  // namespace capture
