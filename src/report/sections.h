// The parts of the page, top to bottom. Each writes one <section>, or nothing when the input has nothing for it.
#pragma once

#include <string_view>

#include "capture/report/html.h"
#include "capture/report/report.h"

namespace capture {

/// The page's style sheet: light and dark, screen and print, from 320 pixels up. Tables and commands that are wider
/// than the page scroll in a box of their own.
std::string_view style_sheet();

/// The page's only script: folded parts are unfolded for printing.
std::string_view page_script();

void write_headlines(HtmlWriter& html, const ReportInput& input);
void write_systems(HtmlWriter& html, const ReportInput& input);
void write_protocols(HtmlWriter& html, const ReportInput& input);
void write_charts(HtmlWriter& html, const ReportInput& input);
void write_queries(HtmlWriter& html, const ReportInput& input);
void write_details(HtmlWriter& html, const ReportInput& input);

}  // namespace capture
