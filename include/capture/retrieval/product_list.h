// Product lists in the format of Product1M (product1m_{gallery,dev,test}_ossurl_v2.txt): one product photo a line,
//
//   id#####caption#####source url#####mirror url#####label#;#label…
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capture/base/text_lines.h"

namespace capture {

struct ListedProduct {
  std::string id;
  std::string caption;
  std::string source_url;
  std::string mirror_url;
  std::vector<std::string> labels;  ///< as listed: in order, duplicates kept, a missing label is one empty label
  std::string where;                ///< "list.txt:12", for messages
};

/// What an odd line means for the figures.
enum class Oddity {
  remark,     ///< nothing: it has one meaning and counts in full
  ambiguous,  ///< a list says two things: product1m_official follows the published script, strict refuses
  lost        ///< the published script gives up on the line
};

/// Something about a line that a reader of the figures should know.
struct OddLine {
  std::string where;   ///< "list.txt:12"
  std::string id;      ///< the query, or the product that a list names
  std::string reason;  ///< "unknown gallery id 'x'"
  std::string effect;  ///< what the published script makes of it: "AR counts as 0 at 10"
  Oddity oddity = Oddity::remark;
};

struct ProductList {
  std::string name;  ///< the file, or what stands for it in messages
  std::vector<ListedProduct> products;
  std::vector<OddLine> odd;  ///< lines with more than five fields
  uint64_t checksum = 0;     ///< of the file's bytes
};

/// UserError, naming file and line, when the file cannot be read, is empty or not UTF-8, or a line has fewer than five
/// fields. Fields past the fifth are passed over, as the published script does, and noted under `odd`.
ProductList read_product_list(const std::filesystem::path& path);

/// What evaluation needs of a product list, ids and labels, as views of the file, which stays mapped.
class LabelList {
 public:
  struct Row {
    std::string_view id;
    std::span<const std::string_view> labels;  ///< as in ListedProduct; views that live as long as the list
    int64_t line = 0;
  };

  /// Reads on every core. Same errors as read_product_list().
  explicit LabelList(const std::filesystem::path& path);

  std::string name() const { return lines_.path().string(); }
  size_t size() const { return size_; }
  /// Lines with more than five fields.
  const std::vector<OddLine>& odd() const { return odd_; }
  /// "list.txt:12".
  std::string where(const Row& row) const { return file_and_line(lines_.path(), row.line); }
  /// Of the file's bytes. Reads them all.
  uint64_t checksum() const { return capture::checksum(lines_.bytes()); }

  /// Calls `visit(row)` for every line, in order.
  template <class Visit>
  void for_each(Visit visit) const {
    for (const Part& part : parts_) {
      for (const Row& row : part.rows) visit(row);
    }
  }

 private:
  struct Part {
    std::vector<Row> rows;
    std::vector<std::string_view> labels;        // of all rows
    std::vector<std::pair<size_t, size_t>> odd;  // row, fields
  };

  Part read(std::string_view text) const;

  TextLines lines_;
  std::vector<Part> parts_;
  size_t size_ = 0;
  std::vector<OddLine> odd_;
};

/// Writes the list in the same format, all or nothing. Line breaks and separators inside a caption become spaces.
/// UserError when an id or a label could not be read back as it is.
void write_product_list(const std::filesystem::path& path, std::span<const ListedProduct> products);

}  // namespace capture
