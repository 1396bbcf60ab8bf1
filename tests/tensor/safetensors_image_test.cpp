#include "capture/tensor/safetensors_image.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "capture/base/block_checksum.h"
#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/tensor/device.h"
#include "capture/tensor/safetensors.h"
#include "common/small_disk.h"
#include "common/testing.h"

namespace capture {
namespace {

using testing::Folder;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const SafetensorsImage::Metadata kMetadata = {{"of", "something"}};

/// Tensors of odd sizes, types, strides and places: `large` numbers in the first.
SafetensorsImage::Tensors odd_tensors(int64_t large, at::Device device = at::kCPU) {
  SafetensorsImage::Tensors tensors = {{"large", at::arange(large, at::kInt).to(at::kFloat)},
                                       {"none", at::ones({0, 3})},
                                       {"bytes", at::arange(7).to(at::kByte)},
                                       {"scalar", at::full({}, 2.5)},
                                       {"turned", at::arange(600'000).view({600, 1000}).t()},
                                       {"half", at::arange(100'001).to(at::kBFloat16)},
                                       {"flags", at::ones({5}, at::kBool)},
                                       {"last", at::ones({0}, at::kBool)}};
  for (auto& [name, tensor] : tensors) tensor = tensor.to(device);
  tensors.push_back({"trained", at::ones({3, 5}, device).requires_grad_()});
  return tensors;
}

/// What write_safetensors() makes of them.
std::string plain_file(const Folder& folder, const SafetensorsImage::Tensors& tensors) {
  write_safetensors(folder.path("plain"), tensors, kMetadata);
  return testing::read(folder.path("plain"));
}

void expect_same_file(at::Device device) {
  const Folder folder;
  // Through the page cache, and past it with an end that is no whole page.
  for (const int64_t large : {10, 5'000'003}) {
    const auto tensors = odd_tensors(large, device);
    const std::string plain = plain_file(folder, tensors);
    SafetensorsImage image(tensors, kMetadata);
    image.fill(tensors);
    if (!device.is_cpu()) tensors[0].second.cpu();  // waits
    EXPECT_EQ(image.write(folder.path("image")), block_checksum(std::as_bytes(std::span(plain)), 1));
    EXPECT_TRUE(testing::read(folder.path("image")) == plain) << large;
    EXPECT_EQ(image.bytes().size(), plain.size());
  }
}

TEST(SafetensorsImage, MakesTheFileThatWriteSafetensorsMakes) {
  expect_same_file(at::kCPU);
}

TEST(SafetensorsImage, MakesTheSameFileFromAGpu_CUDA) {
  const at::Device gpu = parse_device("auto");
  if (!gpu.is_cuda()) GTEST_SKIP() << "no GPU";
  expect_same_file(gpu);
}

TEST(SafetensorsImage, IsFilledAgainInTheSameMemory) {
  const Folder folder;
  auto tensors = odd_tensors(300'000);
  SafetensorsImage image(tensors, kMetadata);
  const std::byte* const memory = image.bytes().data();
  for (int i = 0; i < 2; ++i) {
    tensors[0].second.add_(1);
    const std::string plain = plain_file(folder, tensors);
    ASSERT_TRUE(image.fits(tensors, kMetadata));
    image.fill(tensors);
    EXPECT_EQ(image.bytes().data(), memory);
    tensors[0].second.add_(1);  // changes nothing any more
    EXPECT_EQ(image.write(folder.path("image")), block_checksum(std::as_bytes(std::span(plain)), 1));
    EXPECT_TRUE(testing::read(folder.path("image")) == plain);
  }
}

TEST(SafetensorsImage, FitsTensorsOfItsLayoutAlone) {
  const SafetensorsImage::Tensors tensors = {{"a", at::ones({2, 3})}, {"b", at::ones({4})}};
  const SafetensorsImage image(tensors, kMetadata);
  EXPECT_TRUE(image.fits(tensors, kMetadata));
  EXPECT_FALSE(image.fits(tensors, {}));
  EXPECT_FALSE(image.fits({{"a", at::ones({3, 2})}, {"b", at::ones({4})}}, kMetadata));
  EXPECT_FALSE(image.fits({{"a", at::ones({2, 3})}, {"c", at::ones({4})}}, kMetadata));
  EXPECT_FALSE(image.fits({{"a", at::ones({2, 3})}, {"b", at::ones({4}, at::kInt)}}, kMetadata));
  EXPECT_FALSE(image.fits({tensors[0]}, kMetadata));
}

TEST(SafetensorsImage, SaysThatTheDiskIsFullAndLeavesNothing) {
  const Folder folder;
  const auto tensors = odd_tensors(5'000'000);
  SafetensorsImage image(tensors, kMetadata);
  image.fill(tensors);
  const testing::SmallDisk small(rlim_t{3} << 20);
  const std::string said = testing::error_of([&] { image.write(folder.path("image")); });
  EXPECT_THAT(said, HasSubstr("cannot write the file"));
  EXPECT_THAT(folder.names(), IsEmpty());
}

}  // namespace
}  // namespace capture
