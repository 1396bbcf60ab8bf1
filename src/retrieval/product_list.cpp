#include "capture/retrieval/product_list.h"

#include <string_view>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/base/text_lines.h"
#include "capture/data/import/row.h"

namespace capture {

namespace {

constexpr std::string_view kFieldSeparator = "#####";
constexpr std::string_view kLabelSeparator = "#;#";
constexpr size_t kFields = 5;
constexpr size_t kWriteBytes = size_t{1} << 20;

ListedProduct parse(std::string_view text, const std::string& where, std::vector<OddLine>& odd) {
  ListLine line;
  try {
    line = parse_list_line(text);
  } catch (const UserError& error) {
    UserError::Parts parts = error.parts();
    parts.where = where;
    throw UserError(parts);
  }
  if (line.fields > kFields) {
    odd.push_back({where, std::string(line.id), "the line has " + std::to_string(line.fields) + " fields instead of 5",
                   "the fifth is taken for the labels", Oddity::ambiguous});
  }
  return {.id = std::string(line.id),
          .caption = std::string(line.caption),
          .source_url = std::string(line.source_url),
          .mirror_url = std::string(line.mirror_url),
          .labels = {line.labels.begin(), line.labels.end()},
          .where = where};
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
  lines.for_each([&](int64_t line, std::string_view text) {
    list.products.push_back(parse(text, file_and_line(path, line), list.odd));
  });
  return list;
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
