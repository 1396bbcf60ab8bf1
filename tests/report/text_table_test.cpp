#include "capture/report/text_table.h"

#include <gtest/gtest.h>

namespace capture {
namespace {

TEST(TextTable, AlignsColumnsAndMarksTheBest) {
  const ReportTable table{.title = "One product",
                          .note = "",
                          .row_heading = "System",
                          .columns = {"mAP@10", "Prec"},
                          .rows = {{"chance", "", {0.021, 0.5}}, {"pretrained", "", {0.8134, 0.5}}}};
  EXPECT_EQ(text_table(table),
            "One product\n"
            "System      mAP@10   Prec\n"
            "chance         2.1   50.0*\n"
            "pretrained    81.3*  50.0*\n");
}

TEST(TextTable, WritesADashForWhatWasNotMeasured) {
  const ReportTable table{.title = "",
                          .note = "",
                          .row_heading = "N",
                          .columns = {"a", "b"},
                          .rows = {{"é", "", {kNotMeasured, 1}}, {"20", "", {0.5}}},
                          .compare_rows = false};
  EXPECT_EQ(text_table(table),
            "N      a       b\n"
            "é      -   100.0\n"
            "20  50.0       -\n");
}

}  // namespace
}  // namespace capture
