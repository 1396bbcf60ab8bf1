// One image-title pair as the published files hold it, made into a Sample. Nothing here needs LibTorch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "capture/data/sample.h"

namespace capture {

/// What is asked of every row. What a shard asks of every sample (boxes inside the image, finite features, UTF-8) is
/// left to encode().
struct RowRules {
  int64_t feature_width = 0;  ///< 0: whatever the row has
  int64_t min_regions = 36;
  int64_t max_regions = 36;
  bool windows_line_ends = false;  ///< take a line that ends in \r\n for one that ends in \n
  bool titles_elsewhere = false;   ///< the row's own title is not used and may be missing
};

/// Makes `sample` the row of a TSV file, of which `line` is one line without its final \n:
///
///   image_id, image_w, image_h, num_boxes, boxes (base64 float32 n×4), features (base64 float32 n×D), title
///
/// UserError (no place named) when it breaks the format or the rules; `sample.id` is then set as far as it is known.
/// The sample's memory is used again.
void parse_tsv_row(std::string_view line, const RowRules& rules, Sample& sample);

/// The id of a row, as far as there is one: what stands before the first tab.
std::string_view tsv_row_id(std::string_view line);

/// Makes `sample` the value of an LMDB record as tensorpack's LMDBSerializer writes it with msgpack and msgpack-numpy:
/// the list [features, boxes, num_boxes, image_h, image_w, image_id, caption], arrays float32 or float64 in C order.
/// Otherwise as parse_tsv_row.
void parse_lmdb_value(std::span<const std::byte> value, const RowRules& rules, Sample& sample);

/// The id in such a value, without a look at its arrays. UserError when it breaks the format before the id; empty when
/// the id is neither text nor a number.
std::string lmdb_value_id(std::span<const std::byte> value);

/// Whether the value looks like one that pyarrow.serialize wrote, as newer tensorpack does.
bool is_pyarrow(std::span<const std::byte> value);

/// One line of a product list, product1m_{gallery,dev,test}_ossurl_v2.txt.
struct ListLine {
  std::string_view id;
  std::string_view caption;
  std::string_view source_url;
  std::string_view mirror_url;
  std::vector<std::string_view> labels;  ///< as listed: in order, duplicates kept; a missing label is one empty label
  size_t fields = 0;                     ///< how many there were; past the fifth they are passed over
};

/// Splits a line, given without its end and the white space around it (TextLines). UserError (no place named) on fewer
/// than five fields.
ListLine parse_list_line(std::string_view line);

/// The same, using the memory of `parsed` again. After an error it holds nothing of use.
void parse_list_line(std::string_view line, ListLine& parsed);

}  // namespace capture
