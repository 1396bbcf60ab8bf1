#include "capture/tensor/safetensors.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <span>

#include "capture/base/block_checksum.h"
#include "capture/base/error.h"
#include "capture/base/files.h"
#include "capture/tensor/large_safetensors.h"

namespace capture {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Safetensors : public ::testing::Test {
 protected:
  Safetensors() {
    folder_ = std::filesystem::temp_directory_path() / ("capture_safetensors_" + std::to_string(::getpid()));
    make_folder(folder_);
  }
  ~Safetensors() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path file() const { return folder_ / "x.safetensors"; }

  /// A file with this header and this many bytes of data.
  void write_raw(const std::string& header, size_t data) const {
    const uint64_t length = header.size();
    std::string text(reinterpret_cast<const char*>(&length), sizeof length);
    write_file(file(), text + header + std::string(data, '\x01'));
  }

  void expect_refused(const std::string& because) const {
    try {
      const SafetensorsFile opened(file());
      FAIL() << "was accepted, expected: " << because;
    } catch (const UserError& error) {
      EXPECT_THAT(error.what(), HasSubstr(because));
      EXPECT_THAT(error.what(), HasSubstr("x.safetensors"));
    }
  }

  std::filesystem::path folder_;
};

TEST_F(Safetensors, EveryDtypeComesBackAsItWasWritten) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  const at::Tensor values = at::arange(6).reshape({2, 3});
  for (const auto dtype : {at::kBool, at::kByte, at::kChar, at::kShort, at::kInt, at::kLong, at::kBFloat16, at::kHalf,
                           at::kFloat, at::kDouble}) {
    tensors.emplace_back(std::string("t.") + c10::toString(dtype), values.to(dtype));
  }
  tensors.emplace_back("scalar", at::scalar_tensor(3.5));
  tensors.emplace_back("empty", at::empty({0, 4}));
  tensors.emplace_back("strided", values.t());
  write_safetensors(file(), tensors, {{"made by", "a test"}, {"größe", "模型"}});

  const SafetensorsFile opened(file());
  ASSERT_EQ(opened.entries().size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, tensor] = tensors[i];
    EXPECT_EQ(opened.names()[i], name) << "the header keeps the order";
    EXPECT_TRUE(at::equal(opened.tensor(name), tensor)) << name;
    EXPECT_EQ(opened.tensor(name).scalar_type(), tensor.scalar_type());
    EXPECT_EQ(opened.entry(name).offset % tensor.element_size(), 0U) << name << " is aligned";
  }
  EXPECT_EQ(opened.metadata().at("größe"), "模型");
  EXPECT_FALSE(opened.contains("made by"));
}

TEST_F(Safetensors, SameTensorsGiveTheSameBytes) {
  const std::vector<std::pair<std::string, at::Tensor>> tensors = {{"b", at::ones({3})}, {"a", at::zeros({2})}};
  write_safetensors(file(), tensors, {{"k", "v"}});
  const std::string first = read_file(file());
  write_safetensors(file(), tensors, {{"k", "v"}});
  EXPECT_EQ(read_file(file()), first);
  uint64_t length = 0;
  std::memcpy(&length, first.data(), 8);
  EXPECT_EQ(length % 8, 0U);
  EXPECT_EQ(first.size(), 8 + length + 20);
}

TEST_F(Safetensors, LargeFilesHaveTheSameBytesAndTellTheirChecksum) {
  const std::vector<std::pair<std::string, at::Tensor>> tensors = {
      {"large", at::arange(3 << 20, at::kInt).to(at::kFloat)},
      {"odd", at::ones({7}, at::kByte)},
      {"none", at::ones({0})}};
  const std::map<std::string, std::string> metadata = {{"of", "something"}};
  write_safetensors(file(), tensors, metadata);
  const std::string plain = read_file(file());
  EXPECT_EQ(write_large_safetensors(file(), tensors, metadata), block_checksum(std::as_bytes(std::span(plain)), 1));
  EXPECT_TRUE(read_file(file()) == plain);
  const uint64_t small = write_large_safetensors(file(), {{"w", at::ones({3})}});
  const std::string small_plain = read_file(file());
  EXPECT_EQ(small, block_checksum(std::as_bytes(std::span(small_plain)), 1));
}

TEST_F(Safetensors, TensorsAreViewsThatOutliveTheFileObject) {
  write_safetensors(file(), {{"a", at::arange(4)}, {"b", at::arange(4)}});
  at::Tensor a;
  at::Tensor b;
  {
    const SafetensorsFile opened(file());
    a = opened.tensor("a");
    b = opened.tensor("b");
  }
  EXPECT_EQ(static_cast<char*>(b.data_ptr()) - static_cast<char*>(a.data_ptr()), 32) << "no copies";
  EXPECT_TRUE(at::equal(a, at::arange(4)));
}

TEST_F(Safetensors, UnalignedTensorsOfOtherWritersAreCopied) {
  write_raw(
      R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"y":{"dtype":"I32","shape":[],"data_offsets":[1,5]}})",
      5);
  const SafetensorsFile opened(file());
  EXPECT_EQ(opened.tensor("y").item<int>(), 0x01010101);
}

TEST_F(Safetensors, UnknownNameGetsTheNearestOne) {
  write_safetensors(file(), {{"text.layers.0.weight", at::ones({1})}});
  try {
    SafetensorsFile(file()).tensor("text.layer.0.weight");
    FAIL();
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("the nearest name is \"text.layers.0.weight\""));
  }
}

TEST_F(Safetensors, HostileHeadersAreRefusedWithTheReason) {
  const auto one = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"w":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  const struct {
    std::string header;
    size_t data;
    std::string because;
  } cases[] = {
      {one("F32", "[2]", "[0,12]"), 12, "needs 8 bytes and has 12"},
      {one("F32", "[2]", "[0,8]"), 4, "claims the bytes 0 to 8 of 4"},
      {one("F32", "[2]", "[8,0]"), 8, "claims the bytes 8 to 0"},
      {one("F32", "[0]", "[18446744073709551615,18446744073709551615]"), 8, "claims the bytes"},
      {one("F32", "[4294967296,4294967296,4]", "[0,8]"), 8, "impossible shape"},
      {one("F32", "[0,9223372036854775807]", "[0,0]"), 0, "impossible shape"},
      {one("F32", "[-1]", "[0,8]"), 8, "where a count belongs"},
      {one("F32", "[1.5]", "[0,8]"), 8, "where a count belongs"},
      {one("F32", "2", "[0,8]"), 8, "no proper shape"},
      {one("F32", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "no proper shape"},
      {one("F32", "[2]", "[0]"), 8, "two data_offsets"},
      {one("F99", "[2]", "[0,8]"), 8, "F64, F32, F16, BF16"},
      {one("F32", "[2]", "[4,12]"), 12, "leaves a hole"},
      {one("F32", "[2]", "[0,8]"), 9, "1 bytes that belong to no tensor"},
      {R"({"w":{"dtype":"F32","shape":[2]}})", 8, "needs exactly the keys"},
      {R"({"w":7})", 8, "needs exactly the keys"},
      {R"([1])", 0, "not a JSON object"},
      {R"({"w":)", 8, "is not valid JSON"},
      {"{\"\xff\xfe\":{}}", 0, "is not valid JSON"},
      {R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
       1, "stands twice"},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
       3, "overlaps"},
      {R"({"__metadata__":{"a":1}})", 0, "is not a string"},
      {R"({"__metadata__":[]})", 0, "__metadata__ that is not a JSON object"},
      {std::string(70, '[') + std::string(70, ']'), 0, "nested deeper"},
  };
  for (const auto& [header, data, because] : cases) {
    SCOPED_TRACE(header);
    write_raw(header, data);
    expect_refused(because);
  }
}

TEST_F(Safetensors, EveryTruncationIsRefused) {
  write_safetensors(file(), {{"a", at::ones({3})}, {"b", at::ones({2}, at::kByte)}}, {{"k", "v"}});
  const std::string whole = read_file(file());
  for (size_t size = 0; size < whole.size(); ++size) {
    write_file(file(), whole.substr(0, size));
    EXPECT_THROW(SafetensorsFile{file()}, UserError) << size << " bytes";
  }
}

TEST_F(Safetensors, HeaderLengthIsCheckedBeforeAnythingIsAllocated) {
  for (const uint64_t length : {~uint64_t{0}, uint64_t{1} << 62, uint64_t{17} << 20}) {
    write_file(file(), std::string(reinterpret_cast<const char*>(&length), sizeof length) + "{}");
    expect_refused("its header would have " + std::to_string(length) + " bytes");
  }
  const uint64_t length = uint64_t{17} << 20;
  write_raw(std::string(length, ' '), 0);
  expect_refused("allowed: at most");
}

TEST_F(Safetensors, PyTorchCheckpointsGetTheCommandThatConvertsThem) {
  for (const std::string start : {"PK\x03\x04", "\x80\x02\x8a\x0a"}) {
    write_file(file(), start + std::string(100, 'x'));
    expect_refused("tools/convert_checkpoint.py");
  }
}

TEST_F(Safetensors, AFileThatCannotBeWrittenIsNamed) {
  try {
    write_safetensors(folder_ / "no" / "such.safetensors", {{"a", at::ones({1})}});
    FAIL();
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("such.safetensors"));
  }
}

}  // namespace
}  // namespace capture
