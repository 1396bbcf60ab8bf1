#include "capture/retrieval/product_list.h"

#include <string_view>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/parallel.h"
#include "capture/base/text_lines.h"
#include "capture/data/import/row.h"

namespace capture {

namespace {

constexpr std::string_view kFieldSeparator = "#####";
constexpr std::string_view kLabelSeparator = "#;#";
constexpr size_t kFields = 5;
constexpr size_t kWriteBytes = size_t{1} << 20;
/// What a thread reads at a time.
constexpr size_t kPartBytes = size_t{1} << 18;

/// Splits a line; `where()` names its place should it be wrong.
template <class Where>
void parse(std::string_view text, ListLine& line, const Where& where) {
  try {
    parse_list_line(text, line);
  } catch (const UserError& error) {
    UserError::Parts parts = error.parts();
    parts.where = where();
    throw UserError(parts);
  }
}

OddLine too_many_fields(std::string where, std::string_view id, size_t fields) {
  return {std::move(where), std::string(id), "the line has " + std::to_string(fields) + " fields instead of 5",
          "the fifth is taken for the labels", Oddity::ambiguous};
}

std::string one_line(std::string text) {
  for (size_t at; (at = text.find(kFieldSeparator)) != std::string::npos;) {
    text.replace(at, kFieldSeparator.size(), 1, ' ');
  }
  for (char& c : text) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  // A '#' at the end would grow into the separator behind it.
  if (text.ends_with('#')) text += ' ';
  return text;
}

void check_writable(const ListedProduct& product, std::string_view text, const char* what) {
  const bool clean = strip(text) == text && text.find_first_of("\r\n") == std::string_view::npos &&
                     text.find(kFieldSeparator) == std::string_view::npos &&
                     text.find(kLabelSeparator) == std::string_view::npos && !text.ends_with('#');
  if (clean) return;
  throw UserError(
      {.what = std::string("the ") + what + " '" + std::string(text) + "' cannot stand in a product list",
       .where = product.where,
       .allowed = "text without line breaks, '#####', '#;#', white space at its ends, or '#' as its last character"});
}

}  // namespace

ProductList read_product_list(const std::filesystem::path& path) {
  const TextLines lines(path);
  ProductList list;
  list.name = path.string();
  list.checksum = checksum(lines.bytes());
  ListLine parsed;
  lines.for_each([&](int64_t line, std::string_view text) {
    std::string where = file_and_line(path, line);
    parse(text, parsed, [&] { return where; });
    if (parsed.fields > kFields) list.odd.push_back(too_many_fields(where, parsed.id, parsed.fields));
    list.products.push_back({.id = std::string(parsed.id),
                             .caption = std::string(parsed.caption),
                             .source_url = std::string(parsed.source_url),
                             .mirror_url = std::string(parsed.mirror_url),
                             .labels = {parsed.labels.begin(), parsed.labels.end()},
                             .where = std::move(where)});
  });
  return list;
}

LabelList::LabelList(const std::filesystem::path& path) : lines_(path) {
  LineParts parts = lines_.parts(kPartBytes);
  parts_.resize(parts.end());
  for_each_index(parts.end(), core_count(), [&](size_t i) { parts_[i] = read(parts[i]); });
  for (Part& part : parts_) {
    for (Row& row : part.rows) row.line += static_cast<int64_t>(size_);
    for (const auto& [row, fields] : part.odd) {
      odd_.push_back(too_many_fields(where(part.rows[row]), part.rows[row].id, fields));
    }
    size_ += part.rows.size();
  }
}

LabelList::Part LabelList::read(std::string_view text) const {
  Part part;
  ListLine parsed;
  std::vector<size_t> ends;  // of each row's labels
  lines_.for_each_in(text, [&](int64_t line, std::string_view content) {
    parse(content, parsed, [&] { return file_and_line(lines_.path(), line + lines_.lines_before(text)); });
    if (parsed.fields > kFields) part.odd.emplace_back(part.rows.size(), parsed.fields);
    part.rows.push_back({.id = parsed.id, .labels = {}, .line = line});
    part.labels.insert(part.labels.end(), parsed.labels.begin(), parsed.labels.end());
    ends.push_back(part.labels.size());
  });
  for (size_t i = 0; i < ends.size(); ++i) {
    const size_t begin = i == 0 ? 0 : ends[i - 1];
    part.rows[i].labels = std::span(part.labels).subspan(begin, ends[i] - begin);
  }
  return part;
}

void write_product_list(const std::filesystem::path& path, std::span<const ListedProduct> products) {
  AtomicFile file(path);
  std::string text;
  for (const ListedProduct& product : products) {
    check_writable(product, product.id, "id");
    text += product.id;
    for (const std::string* field : {&product.caption, &product.source_url, &product.mirror_url}) {
      text += kFieldSeparator;
      text += one_line(*field);
    }
    text += kFieldSeparator;
    for (size_t i = 0; i < product.labels.size(); ++i) {
      check_writable(product, product.labels[i], "label");
      if (i > 0) text += kLabelSeparator;
      text += product.labels[i];
    }
    text += '\n';
    if (text.size() > kWriteBytes) {
      file.write(text);
      text.clear();
    }
  }
  file.write(text);
  file.commit();
}

}  // namespace capture
