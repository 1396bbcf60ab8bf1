#include "capture/vision/drawing.h"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>
#include <string>

#include "matrix.h"

namespace capture {

namespace {

constexpr double kLeastSide = 640;

/// Colours that neighbouring numbers do not share, blue, green and red; each stands out from photos in its own way.
cv::Scalar colour_of(size_t box) {
  static const cv::Scalar kColours[] = {{60, 60, 230},  {60, 180, 40},  {220, 120, 30},
                                        {20, 160, 240}, {200, 50, 180}, {180, 180, 20}};
  return kColours[box % std::size(kColours)];
}

/// White on a plate of the box's colour, inside the picture whatever the corner.
void write_number(cv::Mat& canvas, size_t number, cv::Point corner) {
  const std::string text = std::to_string(number);
  constexpr int kFont = cv::FONT_HERSHEY_SIMPLEX;
  constexpr double kSize = 0.45;
  const cv::Size size = cv::getTextSize(text, kFont, kSize, 1, nullptr);
  const int x = std::clamp(corner.x, 0, std::max(0, canvas.cols - size.width - 4));
  const int y = std::clamp(corner.y, 0, std::max(0, canvas.rows - size.height - 6));
  cv::rectangle(canvas, {x, y, size.width + 4, size.height + 6}, colour_of(number), cv::FILLED);
  cv::putText(canvas, text, {x + 2, y + size.height + 3}, kFont, kSize, {255, 255, 255}, 1, cv::LINE_AA);
}

}  // namespace

Image draw_boxes(const Image& photo, const std::vector<Box>& boxes, int64_t full_width, int64_t full_height) {
  cv::Mat canvas;
  const double enlarge = std::max(1.0, kLeastSide / std::max(photo.width, photo.height));
  cv::resize(as_matrix(photo), canvas, {}, enlarge, enlarge, enlarge > 1 ? cv::INTER_CUBIC : cv::INTER_NEAREST);
  const double x_scale = canvas.cols / static_cast<double>(full_width);
  const double y_scale = canvas.rows / static_cast<double>(full_height);
  const auto at = [&](float x, float y) {
    return cv::Point(static_cast<int>(std::lround(x * x_scale)), static_cast<int>(std::lround(y * y_scale)));
  };
  // The best region comes first, so it is drawn last, on top.
  for (size_t b = boxes.size(); b-- > 0;) {
    const cv::Point corner = at(boxes[b].x1, boxes[b].y1);
    cv::rectangle(canvas, corner, at(boxes[b].x2, boxes[b].y2) - cv::Point(1, 1), colour_of(b), 2);
    write_number(canvas, b, corner);
  }
  return from_matrix(canvas);
}

}  // namespace capture
