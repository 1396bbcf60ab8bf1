#include "photos.h"

#include "capture/base/base64.h"

namespace capture {

namespace {

constexpr size_t kInside =
    size_t{5} << 19;  // 2.5 MiB, a third more when encoded: a page that is quick to open and send

}  // namespace

std::string_view image_type(std::span<const std::byte> image) {
  const std::string_view bytes(reinterpret_cast<const char*>(image.data()), image.size());
  if (bytes.starts_with("\xFF\xD8\xFF")) return "image/jpeg";
  if (bytes.starts_with("\x89PNG\r\n\x1A\n")) return "image/png";
  if (bytes.starts_with("RIFF") && bytes.substr(0, 12).ends_with("WEBP")) return "image/webp";
  return {};
}

std::string_view image_extension(std::span<const std::byte> image) {
  const std::string_view type = image_type(image);
  if (type.empty()) return {};
  return type == "image/jpeg" ? "jpg" : type.substr(std::string_view("image/").size());
}

std::string photo_name(char kind, size_t index) {
  return std::string(1, kind) + std::to_string(index);
}

void Photos::write(HtmlWriter& html, const ReportItem& item, const std::string& name, std::string_view alt) {
  if (!any_) return;
  const std::string_view type = image_type(item.thumbnail);
  const bool inside = written_ + item.thumbnail.size() <= kInside;
  if (type.empty() || (!inside && folder_.empty())) {
    const std::string missing =
        std::string(alt) + (type.empty() ? ": no photo" : ": photo left out to keep this page small");
    html.element("span", {{"class", "photo none"}, {"role", "img"}, {"aria-label", missing}}, "");
    return;
  }
  std::string source;
  if (inside) {
    written_ += item.thumbnail.size();
    source = "data:" + std::string(type) + ";base64," + to_base64(item.thumbnail);
  } else {
    source = folder_ + "/" + name + "." + std::string(image_extension(item.thumbnail));
  }
  html.empty("img", {{"class", "photo"}, {"alt", alt}, {"data-photo", name}, {"src", source}});
}

}  // namespace capture
