// Product lists in the format of Product1M (product1m_{gallery,dev,test}_ossurl_v2.txt): one product photo a line,
//
//   id#####caption#####source url#####mirror url#####label#;#label…
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

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

/// Writes the list in the same format, all or nothing. Line breaks and separators inside a caption become spaces.
/// UserError when an id or a label could not be read back as it is.
void write_product_list(const std::filesystem::path& path, std::span<const ListedProduct> products);

}  // namespace capture
