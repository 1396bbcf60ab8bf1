// The list that names photos and their titles: CSV with a header, or one JSON object a line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace capture {

/// One row. A row that cannot be used keeps its line and what could be read of it, and says why.
struct PhotoEntry {
  int64_t line = 0;                 ///< where the row starts, from 1
  std::string id;                   ///< as given, or the image's path as written
  std::string image;                ///< as written; relative to the list's folder unless absolute
  std::vector<std::string> titles;  ///< at least one, none blank
  std::vector<std::string> labels;  ///< may be empty
  std::string problem;              ///< why the row cannot be used; empty when it can
};

/// Reads a whole list. Columns or keys: image, title, and optionally labels and id; others are ignored. A byte-order
/// mark, Windows line ends, blank lines, quoted fields with commas, quotes ("") and line breaks are understood.
///
/// CSV: labels are parted by `label_separator`. JSON: title is text or a list of texts, labels a list of texts.
/// A row is a problem when a column is missing or too many, image or title is blank, an id stood on an earlier line,
/// text is not UTF-8 or holds a NUL byte, a quote is never closed, or a line is no JSON object. UserError when the file
/// cannot be read, is UTF-16, has no rows, or its header lacks a column.
std::vector<PhotoEntry> read_photo_list(const std::filesystem::path& path, const std::string& label_separator = "|");

}  // namespace capture
