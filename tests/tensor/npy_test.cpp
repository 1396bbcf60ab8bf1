#include "capture/tensor/npy.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "capture/base/error.h"
#include "capture/base/files.h"

namespace capture {
namespace {

using testing::HasSubstr;

class Npy : public testing::Test {
 protected:
  Npy() {
    folder_ = std::filesystem::temp_directory_path() / ("capture_npy_" + std::to_string(::getpid()));
    make_folder(folder_);
  }
  ~Npy() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path file() const { return folder_ / "x.npy"; }

  at::Tensor round_trip(const at::Tensor& tensor) const {
    write_npy(file(), tensor);
    return read_npy(file());
  }

  /// A file of this version, header and data.
  void write_raw(int version, const std::string& header, const std::string& data) const {
    std::string text = "\x93NUMPY";
    text += {static_cast<char>(version), 0, static_cast<char>(header.size()), 0};
    if (version > 1) text += {0, 0};
    write_file(file(), text + header + data);
  }

  std::string refusal() const {
    try {
      read_npy(file());
    } catch (const UserError& error) {
      return error.what();
    }
    return "accepted";
  }

  std::filesystem::path folder_;
};

TEST_F(Npy, IsByteForByteWhatNumpyWrites) {
  write_npy(file(), at::tensor({1.0F, 2.0F, -0.5F, 0.0F, 3.0F, 4.0F}).view({2, 3}));
  // numpy.save(file, numpy.array([[1, 2, -.5], [0, 3, 4]], dtype="f4"))
  const std::string dictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  const std::string header = dictionary + std::string(128 - 10 - dictionary.size() - 1, ' ') + "\n";
  const float values[] = {1.0F, 2.0F, -0.5F, 0.0F, 3.0F, 4.0F};
  EXPECT_EQ(read_file(file()), "\x93NUMPY" + std::string({1, 0, static_cast<char>(header.size()), 0}) + header +
                                   std::string(reinterpret_cast<const char*>(values), sizeof values));
}

TEST_F(Npy, EveryTypeAndShapeReadsBack) {
  for (const at::ScalarType type :
       {at::kDouble, at::kFloat, at::kHalf, at::kLong, at::kInt, at::kShort, at::kChar, at::kByte}) {
    for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{{}, {5}, {0, 4}, {3, 2}, {2, 3, 4}}) {
      const at::Tensor tensor = at::randint(0, 100, shape, at::kLong).to(type);
      const at::Tensor again = round_trip(tensor);
      EXPECT_EQ(again.scalar_type(), type);
      EXPECT_EQ(again.sizes(), tensor.sizes());
      EXPECT_TRUE(at::equal(again, tensor));
    }
  }
  const at::Tensor turned = at::arange(6, at::kFloat).view({2, 3}).t();
  EXPECT_TRUE(at::equal(round_trip(turned), turned));
}

TEST_F(Npy, OtherHeadersThatNumpyWritesAreRead) {
  const float values[] = {1, 2, 3, 4, 5, 6};
  const std::string data(reinterpret_cast<const char*>(values), sizeof values);
  const at::Tensor turned = at::tensor({1.0F, 3.0F, 5.0F, 2.0F, 4.0F, 6.0F}).view({2, 3});
  for (const int version : {1, 2, 3}) {
    write_raw(version, "{\"shape\": (2, 3), 'fortran_order': True, 'descr': '<f4'}  \n", data);
    EXPECT_TRUE(at::equal(read_npy(file()), turned)) << version;
  }
}

TEST_F(Npy, WhatIsNoArrayIsRefused) {
  const auto refused = [&](const std::string& header, const std::string& data, const char* because) {
    write_raw(1, header, data);
    EXPECT_THAT(refusal(), HasSubstr(because)) << header;
    EXPECT_THAT(refusal(), HasSubstr("x.npy"));
  };
  const std::string start = "{'descr': '<f4', 'fortran_order': False, 'shape': ";
  refused(start + "(2,), }", std::string(7, 'x'), "holds 7 bytes");
  refused(start + "(2,), }", std::string(9, 'x'), "says 8");
  refused(start + "(4611686018427387904, 4611686018427387904), }", "", "impossible");
  refused(start + "(-1,), }", "", "shape");
  refused(start + "(99999999999999999999,), }", "", "shape");
  refused(start + "2, }", "", "damaged");
  refused(start + "(2,)", "", "damaged");
  refused("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", "1234", "'>f4'");
  refused("{'descr': '<f4', 'fortran_order': False}", "", "without");
  refused("{'descr': '<f4', 'colour': False}", "", "colour");
  refused("", "", "damaged");
  write_raw(4, start + "(), }", "1234");
  EXPECT_THAT(refusal(), HasSubstr("version 4"));
  const std::string whole = [&] {
    write_npy(file(), at::ones({3}));
    return read_file(file());
  }();
  for (size_t length = 0; length < whole.size(); ++length) {
    write_file(file(), whole.substr(0, length));
    EXPECT_NE(refusal(), "accepted") << length;
  }
}

}  // namespace
}  // namespace capture
