// Lists as people and spreadsheets write them; every row that cannot be used says why and on which line.
#include "capture/vision/photo_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "capture/base/error.h"
#include "capture/base/files.h"

namespace capture {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class PhotoList : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }

  std::vector<PhotoEntry> read(const std::string& text, const std::string& separator = "|") {
    write_file(path_, text);
    return read_photo_list(path_, separator);
  }

  std::string refusal(const std::string& text) {
    try {
      read(text);
    } catch (const UserError& error) {
      return error.what();
    }
    return {};
  }

  const std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("capture_list_" + std::to_string(::getpid()));
};

void expect_entry(const PhotoEntry& entry, int64_t line, const std::string& image, const std::string& title) {
  EXPECT_EQ(entry.problem, "");
  EXPECT_EQ(entry.line, line);
  EXPECT_EQ(entry.image, image);
  EXPECT_THAT(entry.titles, ElementsAre(title));
}

TEST_F(PhotoList, ReadsCsvByTheNamesOfItsColumns) {
  const auto entries = read("price,title,labels,image,id\n3,Gala apple,apple|fruit,a.jpg,x\n4,Leek,,b.jpg,y\n");
  ASSERT_THAT(entries, SizeIs(2));
  expect_entry(entries[0], 2, "a.jpg", "Gala apple");
  EXPECT_EQ(entries[0].id, "x");
  EXPECT_THAT(entries[0].labels, ElementsAre("apple", "fruit"));
  EXPECT_THAT(entries[1].labels, IsEmpty());
}

TEST_F(PhotoList, ReadsMarksWindowsLineEndsBlankLinesAndAMissingLastNewline) {
  const auto entries = read("\xEF\xBB\xBFimage,title\r\n\r\na.jpg,One\r\n\r\nb.jpg,Two");
  ASSERT_THAT(entries, SizeIs(2));
  expect_entry(entries[0], 3, "a.jpg", "One");
  expect_entry(entries[1], 5, "b.jpg", "Two");
  EXPECT_EQ(entries[1].id, "b.jpg");
}

TEST_F(PhotoList, ReadsQuotesCommasAndLineBreaksInFields) {
  const auto entries = read("image,title\n\"a,1.jpg\",\"12\"\" pan,\nsteel\"\nb.jpg,a \"plain\" quote\n");
  ASSERT_THAT(entries, SizeIs(2));
  expect_entry(entries[0], 2, "a,1.jpg", "12\" pan,\nsteel");
  expect_entry(entries[1], 4, "b.jpg", "a \"plain\" quote");
}

TEST_F(PhotoList, SplitsLabelsByTheGivenSeparator) {
  const auto entries = read("image,title,labels\na.jpg,One,x#;#y|z#;#x\n", "#;#");
  EXPECT_THAT(entries[0].labels, ElementsAre("x", "y|z", "x"));
}

TEST_F(PhotoList, GoesOnAfterRowsThatCannotBeUsed) {
  const auto entries = read(
      "image,title,id\n"
      "a.jpg,One\n"
      "b.jpg,Two,b,extra\n"
      ",Three,c\n"
      "d.jpg, ,d\n"
      "e.jpg,\"Five\"s,e\n"
      "f.jpg,\"Six,f\n"
      "g.jpg,Seven,g\n"
      "h.jpg,Eight,g\n"
      "i.jpg,\xFF\xFE,i\n"
      "j.jpg,Ten,\n");
  ASSERT_THAT(entries, SizeIs(10));
  EXPECT_THAT(entries[0].problem, HasSubstr("has 2 fields, the header has 3"));
  EXPECT_THAT(entries[1].problem, HasSubstr("has 4 fields"));
  EXPECT_EQ(entries[2].problem, "the image is empty");
  EXPECT_EQ(entries[3].problem, "the title is empty");
  EXPECT_EQ(entries[4].problem, "a closing quote is followed by more text");
  EXPECT_EQ(entries[5].problem, "a quote is opened and never closed");
  expect_entry(entries[6], 8, "g.jpg", "Seven");
  EXPECT_EQ(entries[7].problem, "the id \"g\" stands on line 8 too");
  EXPECT_EQ(entries[8].problem, "the title is not UTF-8");
  EXPECT_EQ(entries[9].problem, "the id is empty");
  for (size_t i = 0; i < entries.size(); ++i) EXPECT_EQ(entries[i].line, static_cast<int64_t>(i) + 2);
}

TEST_F(PhotoList, GoesOnAfterAQuoteLeftOpenInAHugeFile) {
  std::string text = "image,title\na.jpg,\"open\n";
  for (int i = 0; i < 100000; ++i) text += std::to_string(i) + ".jpg,some title of a product\n";
  const auto entries = read(text);
  ASSERT_THAT(entries, SizeIs(100001));
  EXPECT_EQ(entries[0].problem, "a quote is opened and never closed");
  expect_entry(entries[100000], 100002, "99999.jpg", "some title of a product");
}

TEST_F(PhotoList, ReadsJsonLines) {
  const auto entries = read(
      "{\"image\": \"a.jpg\", \"title\": \"One\", \"labels\": [\"x\", \"x\"], \"price\": 3}\r\n"
      "\n"
      "{\"id\": \"b\", \"image\": \"b.jpg\", \"title\": [\"Two\", \"zwei\"]}");
  ASSERT_THAT(entries, SizeIs(2));
  expect_entry(entries[0], 1, "a.jpg", "One");
  EXPECT_THAT(entries[0].labels, ElementsAre("x", "x"));
  EXPECT_EQ(entries[1].line, 3);
  EXPECT_EQ(entries[1].id, "b");
  EXPECT_THAT(entries[1].titles, ElementsAre("Two", "zwei"));
}

TEST_F(PhotoList, NamesWhatIsWrongWithAJsonLine) {
  const auto entries = read(
      "{\"image\": \"a.jpg\"}\n"
      "{\"image\": 3, \"title\": \"x\"}\n"
      "{\"image\": \"c.jpg\", \"title\": {}}\n"
      "{\"image\": \"d.jpg\", \"title\": []}\n"
      "{\"image\": \"e.jpg\", \"title\": \"x\", \"labels\": [1]}\n"
      "{\"image\": \"f.jpg\", \"title\": \"x\"\n"
      "[1]\n"
      "{\"image\": \"h.jpg\", \"title\": \"x\", \"title\": \"y\"}\n"
      "{\"image\": \"i\\u0000.jpg\", \"title\": \"x\"}\n"
      "{\"image\": \"j.jpg\", \"title\": \"\xFF\"}\n");
  ASSERT_THAT(entries, SizeIs(10));
  EXPECT_THAT(entries[0].problem, HasSubstr("no \"title\""));
  EXPECT_THAT(entries[1].problem, HasSubstr("\"image\" is not text"));
  EXPECT_THAT(entries[2].problem, HasSubstr("\"title\" is neither text"));
  EXPECT_THAT(entries[3].problem, HasSubstr("title is empty"));
  EXPECT_THAT(entries[4].problem, HasSubstr("\"labels\""));
  EXPECT_THAT(entries[5].problem, HasSubstr("not valid JSON"));
  EXPECT_THAT(entries[6].problem, HasSubstr("not a JSON object"));
  EXPECT_THAT(entries[7].problem, HasSubstr("stands twice"));
  EXPECT_THAT(entries[8].problem, HasSubstr("NUL"));
  EXPECT_NE(entries[9].problem, "");
}

TEST_F(PhotoList, RefusesWhatIsNoList) {
  EXPECT_THAT(refusal(""), HasSubstr("lists no photos"));
  EXPECT_THAT(refusal("image,title\n"), HasSubstr("lists no photos"));
  EXPECT_THAT(refusal("picture,title\na.jpg,x\n"), HasSubstr("no column \"image\", it reads: picture, title"));
  EXPECT_THAT(refusal("image\ttitle\na.jpg\tx\n"), HasSubstr("parted by commas"));
  EXPECT_THAT(refusal("\xFF\xFEi\0m\0"), HasSubstr("UTF-16"));
  EXPECT_THROW(read_photo_list("/no/such/list.csv"), UserError);
}

}  // namespace
}  // namespace capture
