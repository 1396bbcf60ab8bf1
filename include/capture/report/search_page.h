// The page that shows what a gallery was asked and what was found: a single HTML file that opens offline.
//
// As in the report, every text may hold any bytes, and a thumbnail that is no JPEG, PNG or WebP becomes a placeholder.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "capture/report/report.h"

namespace capture {

/// A place of the answer.
struct FoundItem {
  ReportItem item;
  double score = 0;  ///< similarity, as ranked
};

/// One question and its answer.
struct AskedQuestion {
  ReportItem asked;    ///< a thumbnail, a title, or both; the id names it
  bool photo = false;  ///< whether it was asked with a photo, so that a missing thumbnail leaves a placeholder
  std::string how;     ///< what was compared with what, in words
  std::vector<FoundItem> found = {};  ///< best first; all are shown
};

struct SearchPage {
  std::string gallery;               ///< what was asked: "runs/demo/gallery, 470 photos"
  std::string model;                 ///< "runs/demo/run, step 1300"
  std::string created;               ///< date and time as the reader should see it
  std::vector<AskedQuestion> asked;  ///< in the order asked
  size_t left_out = 0;               ///< questions that were asked, but for which there is no room here
};

/// The page as one HTML document.
std::string render_search_page(const SearchPage& page);

/// Writes render_search_page(page) to `path`, all or nothing. UserError when the file cannot be written.
void write_search_page(const std::filesystem::path& path, const SearchPage& page);

}  // namespace capture
