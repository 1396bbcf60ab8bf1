// The parts of the pages, top to bottom. Each writes one <section>, or nothing when the input has nothing for it.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "capture/report/comparison.h"
#include "capture/report/html.h"
#include "capture/report/report.h"

namespace capture {

/// The style sheet of all pages: light and dark, screen and print, from 320 pixels up. Tables and commands that are
/// wider than the page scroll in a box of their own.
std::string_view style_sheet();

/// The script of all pages.
std::string_view page_script();

/// What stands around the sections of a page.
struct PageFrame {
  std::string title;
  std::string dataset;  ///< under the title; may be empty, like the next
  std::vector<std::string> origin;
  std::vector<std::pair<std::string, std::string>> sections;  ///< ids and names; those that the page lacks are left out
  std::string folder;                                         ///< beside the page
};

/// The whole document around `body`. All queries for the script go into it, or stay in rendered.queries when they are
/// many.
void write_frame(RenderedReport& rendered, const PageFrame& frame, const std::string& body);

/// A box around something that may be wider than the page: it scrolls, so it must be reachable by keyboard, hence the
/// tab stop, and so must have a name.
[[nodiscard]] HtmlWriter::Scope scroll_box(HtmlWriter& html, std::string_view name);

/// "81.3"
std::string percent(double fraction);

/// A cell with a bar under its value.
void write_share(HtmlWriter& html, double value, bool best);

void write_headlines(HtmlWriter& html, const ReportInput& input);
void write_systems(HtmlWriter& html, const ReportInput& input);
void write_protocols(HtmlWriter& html, const ReportInput& input);
void write_breakdowns(HtmlWriter& html, const ReportInput& input);
void write_curves(HtmlWriter& html, const ReportInput& input);
void write_labels(HtmlWriter& html, const ReportInput& input);
void write_charts(HtmlWriter& html, const ReportInput& input);
void write_details(HtmlWriter& html, std::string_view heading, std::span<const ReportFact> facts,
                   std::span<const ReportCommand> commands, std::string_view configuration);

}  // namespace capture
