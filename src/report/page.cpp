// The document around the sections, and the files that a page is made of.
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <fstream>

#include "capture/base/error.h"
#include "capture/base/files.h"
#include "sections.h"

namespace capture {

namespace {

namespace fs = std::filesystem;

constexpr size_t kDataInside = size_t{1} << 20;  // more stands beside the page
constexpr const char* kDataFile = "queries.js";

void write_head(HtmlWriter& html, const PageFrame& frame) {
  const auto head = html.open("head");
  html.empty("meta", {{"charset", "utf-8"}});
  html.empty("meta", {{"name", "viewport"}, {"content", "width=device-width, initial-scale=1"}});
  html.empty("meta", {{"name", "color-scheme"}, {"content", "light dark"}});
  html.element("title", {}, frame.title);
  const auto style = html.open("style");
  html.raw(style_sheet());
}

void write_banner(HtmlWriter& html, const PageFrame& frame) {
  const auto banner = html.open("header", {{"class", "banner"}});
  html.element("h1", {{"dir", "auto"}}, frame.title);
  if (!frame.dataset.empty()) html.element("p", {{"class", "origin"}, {"dir", "auto"}}, frame.dataset);
  if (frame.origin.empty()) return;
  const auto line = html.open("p", {{"class", "origin"}});
  for (const std::string& part : frame.origin) html.element("bdi", {}, part);
}

/// Links to the sections that `body` really has.
void write_contents(HtmlWriter& html, const PageFrame& frame, std::string_view body) {
  const auto nav = html.open("nav", {{"aria-label", "Sections"}});
  for (const auto& [id, name] : frame.sections) {
    if (body.find("<section id=\"" + id + '"') == std::string_view::npos) continue;
    html.element("a", {{"href", '#' + id}}, name);
  }
}

void write_scripts(HtmlWriter& html, RenderedReport& rendered, const PageFrame& frame) {
  {
    const auto script = html.open("script");
    html.raw(page_script());
  }
  if (rendered.queries.empty()) return;
  if (rendered.queries.size() > kDataInside) {
    html.element("script", {{"src", frame.folder + "/" + kDataFile}}, "");
    return;
  }
  const auto script = html.open("script");
  html.raw(rendered.queries);
  rendered.queries.clear();
}

/// Photos are many and small, and a lost one shows as a placeholder: they are not synced one by one.
void write_photo(const fs::path& path, std::span<const std::byte> bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) throw UserError({.what = "cannot be written", .where = path.string(), .hint = "is the disk full?"});
}

/// Whether all that the folder holds has a name that write_page gives: then it may be replaced.
bool is_ours(const fs::path& folder) {
  std::error_code error;
  const fs::directory_iterator entries(folder, error);
  return !error && std::ranges::all_of(entries, [](const fs::directory_entry& entry) {
    const std::string name = entry.path().filename().string();
    const bool photo = (name.starts_with('g') || name.starts_with('q')) && name.size() > 1 && std::isdigit(name[1]);
    return photo || name == kDataFile;
  });
}

}  // namespace

void write_frame(RenderedReport& rendered, const PageFrame& frame, const std::string& body) {
  HtmlWriter html;
  html.raw("<!doctype html>\n");
  {
    const auto page = html.open("html", {{"lang", "en"}});
    write_head(html, frame);
    const auto visible = html.open("body");
    html.element("a", {{"class", "skip"}, {"href", "#content"}}, "Skip to the content");
    write_banner(html, frame);
    write_contents(html, frame, body);
    {
      const auto main = html.open("main", {{"id", "content"}});
      html.raw(body);
    }
    write_scripts(html, rendered, frame);
  }
  html.raw("\n");
  rendered.html = html.take();
}

std::string files_folder(const fs::path& page) {
  return page.stem().string() + "_files";
}

void write_page(const fs::path& path, const RenderedReport& page) {
  const fs::path folder = path.parent_path() / files_folder(path);
  const fs::path aside = folder.string() + ".part-" + std::to_string(::getpid());
  if (!page.photos.empty() || !page.queries.empty()) {
    std::error_code error;
    if (is_there(folder) && !is_ours(folder)) {
      throw UserError({.what = "is in the way of the page's photos, and holds something else",
                       .where = folder.string(),
                       .hint = "move it, or give the page another name"});
    }
    make_folder(aside);
    for (const ReportPhoto& photo : page.photos) write_photo(aside / photo.name, photo.bytes);
    if (!page.queries.empty()) write_file(aside / kDataFile, page.queries);
    fs::remove_all(folder, error);
    fs::rename(aside, folder, error);
    if (error) throw UserError({.what = "cannot be moved into place: " + error.message(), .where = folder.string()});
  }
  write_file(path, page.html);
}

}  // namespace capture
