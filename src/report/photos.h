// The photos of a page: inside it while they are few, else in a folder beside it.
#pragma once

#include <string>
#include <string_view>

#include "capture/report/html.h"
#include "capture/report/report.h"

namespace capture {

/// "image/jpeg" and the like, by the first bytes; "" for what a page cannot show.
std::string_view image_type(std::span<const std::byte> image);

/// "jpg" and the like; "" where image_type is.
std::string_view image_extension(std::span<const std::byte> image);

/// The name of a photo's file, without extension: 'g' for the gallery's, 'q' for the queries'.
std::string photo_name(char kind, size_t index);

class Photos {
 public:
  /// `folder`: where photos stand that are not inside the page; empty: there is none, and they become placeholders.
  /// `any`: false on a page without a single photo, where placeholders would only take room.
  explicit Photos(std::string folder = {}, bool any = true) : folder_(std::move(folder)), any_(any) {}

  /// The item's photo as an <img>, or a placeholder. `name` is its file's without extension ("g12"); the page's script
  /// finds photos inside the page by it.
  void write(HtmlWriter& html, const ReportItem& item, const std::string& name, std::string_view alt);

 private:
  std::string folder_;
  bool any_;
  size_t written_ = 0;  // bytes inside the page, before they are encoded
};

}  // namespace capture
