// capture_data with OpenCV and LibTorch in it.
#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/data/sample_view.h"
#include "capture/vision/drawing.h"
#include "capture_data/commands.h"
#include "import_images.h"

namespace capture {

namespace {

void draw_regions(const SampleView& sample, const std::filesystem::path& image, const std::filesystem::path& output) {
  if (image.empty() && sample.thumbnail().empty()) {
    throw UserError({.what = "the sample \"" + std::string(sample.id()) + "\" has no thumbnail to draw on",
                     .where = "--draw",
                     .hint = "give its photo with --image"});
  }
  const ImageOptions whole{.longest_side = 1 << 20};
  const Image photo = image.empty() ? decode_image(sample.thumbnail(), whole) : read_image(image, whole);
  const RegionsView view = sample.regions();
  std::vector<Box> boxes;
  for (int64_t r = 0; r < view.count; ++r) {
    const auto box = view.boxes.subspan(static_cast<size_t>(r) * 4, 4);
    boxes.push_back({box[0], box[1], box[2], box[3]});
  }
  AtomicFile file(output);
  file.write(encode_jpeg(draw_boxes(photo, boxes, view.image_width, view.image_height), 92));
  file.commit();
}

}  // namespace

}  // namespace capture

int main(int argc, char** argv) {
  return capture::run_data_program(argc, argv, capture::add_import_images, capture::draw_regions);
}
