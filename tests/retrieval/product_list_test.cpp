#include "capture/retrieval/product_list.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "capture/base/error.h"
#include "capture/base/files.h"

namespace capture {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class ProductListTest : public testing::Test {
 protected:
  ProductList read(std::string_view bytes) {
    write_file(path_, bytes);
    return read_product_list(path_);
  }
  void TearDown() override { std::filesystem::remove(path_); }

  std::filesystem::path path_ = std::filesystem::temp_directory_path() / ("list-" + std::to_string(::getpid()));
};

TEST_F(ProductListTest, KeepsLabelsAsListed) {
  const ProductList list = read(
      "6231#####韩国套盒#####https://a/1.jpg#####http://b/1.jpg#####AHC 水#;#AHC 霜#;#AHC 水\r\n"
      "7####################　");
  ASSERT_THAT(list.products, SizeIs(2));
  EXPECT_EQ(list.products[0].id, "6231");
  EXPECT_EQ(list.products[0].caption, "韩国套盒");
  EXPECT_EQ(list.products[0].source_url, "https://a/1.jpg");
  EXPECT_EQ(list.products[0].mirror_url, "http://b/1.jpg");
  EXPECT_THAT(list.products[0].labels, ElementsAre("AHC 水", "AHC 霜", "AHC 水"));
  EXPECT_EQ(list.products[0].where, path_.string() + ":1");
  EXPECT_THAT(list.odd, IsEmpty());
}

TEST_F(ProductListTest, AMissingLabelIsOneEmptyLabel) {
  EXPECT_THAT(read("1#####a#####b#####c#####").products[0].labels, ElementsAre(""));
}

TEST_F(ProductListTest, FieldsPastTheFifthAreNoted) {
  const ProductList list = read("1#####a#####b#####c#####d#####e\n");
  EXPECT_THAT(list.products[0].labels, ElementsAre("d"));
  ASSERT_THAT(list.odd, SizeIs(1));
  EXPECT_THAT(list.odd[0].reason, HasSubstr("6 fields"));
}

TEST_F(ProductListTest, ShortLinesAreRefusedByNumber) {
  for (const char* bad : {"1#####a#####b#####c", "", "1,2,3"}) {
    try {
      read("1#####a#####b#####c#####d\n" + std::string(bad) + "\n");
      ADD_FAILURE() << "accepted " << bad;
    } catch (const UserError& error) {
      EXPECT_EQ(error.parts().where, path_.string() + ":2");
    }
  }
}

/// A list of many parts, with line ends of every kind, odd lines and captions of any script.
TEST_F(ProductListTest, LabelsAloneAreThoseOfTheWholeList) {
  std::string text;
  for (int i = 0; i < 9000; ++i) {
    text += " 1" + std::to_string(i) + "#####" + std::string(static_cast<size_t>(i % 90), 'x') +
            "黄金套盒#####u#####m#####";
    for (int label = 0; label < i % 4; ++label) text += "产品 " + std::to_string((i + label) % 50) + "#;#";
    text += i % 1000 == 7 ? "last#####more" : "last";
    text += i % 3 == 0 ? "\r\n" : i % 3 == 1 ? "\n" : "\r";
  }
  const ProductList whole = read(text);
  const LabelList labels(path_);
  EXPECT_EQ(labels.name(), whole.name);
  EXPECT_EQ(labels.size(), 9000u);
  EXPECT_EQ(labels.checksum(), whole.checksum);
  size_t next = 0;
  labels.for_each([&](const LabelList::Row& row) {
    const ListedProduct& product = whole.products.at(next++);
    ASSERT_EQ(row.id, product.id);
    ASSERT_TRUE(std::ranges::equal(row.labels, product.labels));
    ASSERT_EQ(labels.where(row), product.where);
  });
  EXPECT_EQ(next, whole.products.size());
  ASSERT_THAT(labels.odd(), SizeIs(9));
  for (size_t i = 0; i < 9; ++i) {
    EXPECT_EQ(labels.odd()[i].where, whole.odd[i].where);
    EXPECT_EQ(labels.odd()[i].id + labels.odd()[i].reason, whole.odd[i].id + whole.odd[i].reason);
  }
}

TEST_F(ProductListTest, LabelsAloneAreRefusedWithTheSameWords) {
  const std::string good = "1#####a#####b#####c#####d\n";
  std::string many;
  for (int i = 0; i < 30000; ++i) many += good;
  for (const std::string bad : {"1,2,3\n", "\n", "标题\xe9\n"}) {
    // What comes first in the file is named, whichever thread meets it first.
    write_file(path_, many + bad + many + "\xff\n");
    const auto message = [&](auto read) -> std::string {
      try {
        read();
      } catch (const UserError& error) {
        return error.what();
      }
      return "accepted";
    };
    EXPECT_THAT(message([&] { LabelList{path_}; }), HasSubstr(":30001: "));
    EXPECT_EQ(message([&] { LabelList{path_}; }), message([&] { read_product_list(path_); }));
  }
}

TEST_F(ProductListTest, WhatIsWrittenReadsBack) {
  ListedProduct product;
  product.id = "q#1";
  product.caption = "a ##### b\nc #";
  product.labels = {"#x", "y", "y"};
  write_product_list(path_, std::vector{product});
  const ProductList list = read_product_list(path_);
  EXPECT_EQ(list.products[0].id, "q#1");
  EXPECT_EQ(list.products[0].caption, "a   b c # ");
  EXPECT_THAT(list.products[0].labels, ElementsAre("#x", "y", "y"));
  EXPECT_THAT(list.odd, IsEmpty());
}

TEST_F(ProductListTest, WhatCouldNotBeReadBackIsNotWritten) {
  for (const char* bad : {"a#####b", "a\nb", " a", "a#", "a#;#b", "a\u3000"}) {
    for (const bool as_id : {true, false}) {
      ListedProduct product;
      product.id = as_id ? bad : "1";
      product.labels = {as_id ? "x" : bad};
      EXPECT_THROW(write_product_list(path_, std::vector{product}), UserError) << bad;
      EXPECT_FALSE(std::filesystem::exists(path_));
    }
  }
}

}  // namespace
}  // namespace capture
