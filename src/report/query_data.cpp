// All queries of a page as data for its script.
#include <cmath>
#include <map>
#include <utility>

#include "cards.h"

namespace capture {

namespace {

/// Gives each new key the next number.
template <class Key>
class Numbers {
 public:
  size_t operator()(const Key& key) {
    const auto [place, is_new] = numbers_.emplace(key, order_.size());
    if (is_new) order_.push_back(key);
    return place->second;
  }
  const std::vector<Key>& order() const { return order_; }

 private:
  std::map<Key, size_t> numbers_;
  std::vector<Key> order_;
};

/// Enough digits for what a page shows, and no more: the file is mostly numbers.
Json rounded(double value) {
  return std::isfinite(value) ? Json(std::round(value * 1e4) / 1e4) : Json();
}

class Data {
 public:
  Data(const QueryPage& page, std::vector<ReportPhoto>& photos) : page_(page), photos_(photos) {}

  Json json() {
    Json queries = Json::array();
    for (size_t i = 0; i < page_.queries.size(); ++i) queries.push_back(query(i));
    Json items = Json::array();
    for (size_t i = 0; i < found_.order().size(); ++i) {  // item() adds labels, not items
      const size_t place = found_.order()[i];
      Json entry = item(page_.gallery[place], photo_name('g', place));
      items.push_back(std::move(entry));
    }
    return {{"metric", page_.metric}, {"runs", page_.runs},        {"folder", page_.folder}, {"shown", page_.shown},
            {"seed", page_.seed},     {"labels", labels_.order()}, {"items", items},         {"queries", queries}};
  }

 private:
  /// [id, title, labels, photo]: the photo's file, "" for none.
  Json item(const ReportItem& item, const std::string& name) {
    Json labels = Json::array();
    for (const std::string& label : distinct(item.labels)) labels.push_back(labels_(label));
    const std::string_view extension = image_extension(item.thumbnail);
    std::string file;
    if (!extension.empty()) {
      file = name + "." + std::string(extension);
      photos_.push_back({file, item.thumbnail});
    }
    return {item.id, item.title == item.id ? "" : item.title, std::move(labels), file};
  }

  /// item(), then matches, place of the first, values, and a ranking a run: item, score, item, score, …
  Json query(size_t index) {
    const ShownQuery& query = page_.queries[index];
    Json entry = item(*query.item, photo_name('q', index));
    entry.push_back(query.positives);
    entry.push_back(query.first_hit);
    Json values = Json::array();
    for (const double value : query.values) values.push_back(rounded(value));
    entry.push_back(std::move(values));
    Json rankings = Json::array();
    for (const std::vector<ReportResult>* ranking : query.rankings) {
      Json places = Json::array();
      for (size_t i = 0; i < std::min(kShownResults, ranking->size()); ++i) {
        places.push_back(found_((*ranking)[i].item));
        places.push_back(rounded((*ranking)[i].score));
      }
      rankings.push_back(std::move(places));
    }
    entry.push_back(std::move(rankings));
    return entry;
  }

  const QueryPage& page_;
  std::vector<ReportPhoto>& photos_;
  Numbers<std::string> labels_;
  Numbers<size_t> found_;
};

}  // namespace

std::string query_data(const QueryPage& page, std::vector<ReportPhoto>& photos) {
  const std::string json = to_line(Data(page, photos).json());
  std::string safe;
  safe.reserve(json.size());
  for (const char c : json) {
    if (c == '<') {
      safe += "\\u003c";  // nothing in a title may end the <script> that this stands in
    } else {
      safe += c;
    }
  }
  return "explore(" + safe + ");";
}

}  // namespace capture
