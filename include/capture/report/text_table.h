// A ReportTable as text, for a terminal.
#pragma once

#include <string>

#include "capture/report/report.h"

namespace capture {

/// The table with aligned columns, values as percentages with one decimal, "-" where nothing was measured, and a "*"
/// after the best value of each column where rows compete. Width is counted in code points; ends with a newline.
///
///     Photos of one product (405 queries)
///     System              strict mAP@10   Prec@10
///     chance                       2.1        2.4
///     pretrained                  81.3*      70.2*
std::string text_table(const ReportTable& table);

}  // namespace capture
