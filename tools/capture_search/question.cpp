#include "capture_search/question.h"

#include <vector>

#include "capture/base/error.h"
#include "capture/base/json.h"
#include "capture/base/text_lines.h"

namespace capture {

namespace {

/// Text under `key`, or the first of a list of texts, without white space around it; empty where there is none.
std::string text_at(const Json& object, const std::string& key) {
  const auto at = object.find(key);
  if (at == object.end() || at->is_null()) return {};
  const Json& value = at->is_array() && !at->empty() ? at->front() : *at;
  if (!value.is_string()) {
    throw UserError({.what = "\"" + key + "\" is " + to_line(*at).substr(0, 60), .allowed = "text"});
  }
  return std::string(strip(value.get_ref<const std::string&>()));
}

/// A key that is nearly one that counts is a slip, and must not pass as a question that asks for less.
void refuse_slips(const Json& object) {
  static const std::vector<std::string> kKeys = {"photo", "image", "title", "id"};
  for (const auto& [key, value] : object.items()) {
    const std::string near = nearest_word(key, kKeys);
    if (near.empty() || near == key || object.contains(near)) continue;
    throw UserError({.what = "unknown key \"" + key + "\"", .hint = "did you mean \"" + near + "\"?"});
  }
}

void read_object(const Json& object, Question& question, const std::filesystem::path& folder) {
  refuse_slips(object);
  if (object.contains("photo") && object.contains("image")) {
    throw UserError({.what = "\"photo\" and \"image\" both name the photo", .allowed = "one of the two"});
  }
  if (std::string id = text_at(object, "id"); !id.empty()) question.id = std::move(id);
  const std::string photo = text_at(object, object.contains("photo") ? "photo" : "image");
  if (!photo.empty()) question.photo = folder / photo;
  question.title = text_at(object, "title");
  if (question.photo.empty() && question.title.empty()) {
    throw UserError({.what = "neither \"photo\" nor \"title\" says what to look for",
                     .allowed = R"({"photo": "a.jpg"}, {"title": "…"}, or both)"});
  }
}

}  // namespace

std::optional<Question> parse_question(std::string_view line, int64_t number, const std::string& where,
                                       const std::filesystem::path& folder) {
  line = strip(line);
  if (line.empty()) return std::nullopt;
  Question question{.id = std::to_string(number), .photo = {}, .title = {}, .where = where, .problem = {}};
  try {
    if (!is_utf8(line))
      throw UserError({.what = "the line is not UTF-8", .hint = "convert it, for example with iconv"});
    if (line.starts_with('{')) {
      read_object(parse_json(line, "the JSON object").root, question, folder);
    } else {
      question.title = line;
    }
  } catch (const UserError& error) {
    question.problem = error.what();
  }
  return question;
}

}  // namespace capture
