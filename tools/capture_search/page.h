// The page of a session: collects answers, writes them with photos, and shows the page.
#pragma once

#include <deque>
#include <string>

#include "capture/data/dataset.h"
#include "capture/report/search_page.h"
#include "capture_search/answer.h"
#include "capture_search/arguments.h"

namespace capture {

class PageWriter {
 public:
  /// The gallery must outlive this.
  PageWriter(const SearchArguments& arguments, const Dataset& gallery);

  bool wanted() const { return !arguments_.report.empty(); }
  /// Keeps the answer, and `thumbnail` of the question's photo. Once there are a hundred, or as many photos as one file
  /// should carry, further ones are only counted.
  void add(const Question& question, const Answer& answer, std::string thumbnail);
  /// Writes the page and opens it where that was asked for. `model` is what the model is called.
  void write(const std::string& model);

 private:
  const SearchArguments& arguments_;
  const Dataset& gallery_;
  SearchPage page_;
  size_t photo_bytes_ = 0;
  std::deque<std::string> thumbnails_;  // of the questions, which the page borrows
};

}  // namespace capture
