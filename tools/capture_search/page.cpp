#include "capture_search/page.h"

#include <fmt/chrono.h>

#include <ctime>
#include <span>
#include <utility>

#include "capture/base/log.h"
#include "capture_search/browser.h"

namespace capture {

namespace {

constexpr size_t kMostQuestions = 100;           // a page is for reading
constexpr size_t kPhotoBytes = size_t{5} << 19;  // of all photos: what a page has room for

}  // namespace

PageWriter::PageWriter(const SearchArguments& arguments, const Dataset& gallery)
    : arguments_(arguments), gallery_(gallery) {
  page_.gallery = arguments.gallery.front().string() + ", " + std::to_string(gallery.size()) + " photos";
}

void PageWriter::add(const Question& question, const Answer& answer, std::string thumbnail) {
  size_t photos = thumbnail.size();
  for (const FoundProduct& product : answer.found) photos += gallery_.sample(product.item).thumbnail().size();
  const bool full = page_.asked.size() == kMostQuestions || photo_bytes_ + photos > kPhotoBytes;
  if (page_.left_out > 0 || (full && !page_.asked.empty())) {
    ++page_.left_out;
    return;
  }
  photo_bytes_ += photos;
  thumbnails_.push_back(std::move(thumbnail));
  AskedQuestion asked{.asked = {.id = question.photo.filename().string(),
                                .title = question.title,
                                .labels = {},
                                .thumbnail = std::as_bytes(std::span(thumbnails_.back()))},
                      .photo = !question.photo.empty(),
                      .how = answer.how + " (" + answer.recipe + ")"};
  for (const FoundProduct& product : answer.found) {
    asked.found.push_back({.item = {.id = product.id,
                                    .title = product.title,
                                    .labels = product.labels,
                                    .thumbnail = gallery_.sample(product.item).thumbnail()},
                           .score = product.score});
  }
  page_.asked.push_back(std::move(asked));
}

void PageWriter::write(const std::string& model) {
  page_.model = model;
  page_.created = fmt::format("{:%d %B %Y, %H:%M}", fmt::localtime(std::time(nullptr)));
  write_search_page(arguments_.report, page_);
  if (arguments_.open_report && open_in_browser(arguments_.report)) return;
  log::info("{} {}", arguments_.open_report ? "there is no desktop to show the page on; open" : "the page is",
            std::filesystem::absolute(arguments_.report).string());
}

}  // namespace capture
