// Our Image as OpenCV's matrix and back.
#pragma once

#include <opencv2/core/mat.hpp>

#include "capture/vision/image.h"

namespace capture {

/// A view: it must not outlive the image, nor be written to.
inline cv::Mat as_matrix(const Image& image) {
  return {image.height, image.width, CV_8UC3, const_cast<uint8_t*>(image.bgr.data())};
}

/// A copy of 8-bit BGR pixels; the full size is set to the matrix's own.
inline Image from_matrix(const cv::Mat& pixels) {
  Image image{
      .width = pixels.cols, .height = pixels.rows, .bgr = {}, .full_width = pixels.cols, .full_height = pixels.rows};
  image.bgr.resize(pixels.total() * 3);
  cv::Mat target = as_matrix(image);
  pixels.copyTo(target);
  return image;
}

}  // namespace capture
