#include "capture_eval/with_torch/cross_modal_figures.h"

#include <array>
#include <string_view>

#include "capture/base/files.h"

namespace capture {

namespace {

constexpr std::array<int64_t, 3> kAt = {1, 5, 10};
constexpr int64_t kDepth = kAt.back();

std::vector<double> recalls(const std::vector<int64_t>& places) {
  std::vector<double> values;
  for (const int64_t k : kAt) values.push_back(recall_at(places, k));
  return values;
}

Json recalls_json(const std::vector<int64_t>& places) {
  Json json = Json::object();
  for (const int64_t k : kAt) json["R@" + std::to_string(k)] = recall_at(places, k);
  return json;
}

Json rank_json(int64_t place) {
  return place < kDepth ? Json(place + 1) : Json();
}

}  // namespace

CrossModalSet measure_cross_modal_set(const std::string& name, const ProductList& list, const PairEmbeddings& pairs) {
  CrossModalSet set{.name = name, .ids = {}, .places = {}};
  for (const ListedProduct& product : list.products) set.ids.push_back(product.id);
  const std::vector<std::string_view> ids(set.ids.begin(), set.ids.end());
  set.places = own_places(pairs, ids, kDepth);
  return set;
}

ReportTable cross_modal_table(const std::vector<CrossModalSet>& sets) {
  ReportTable table{.title = "Titles and photos that look for their other half",
                    .note = "The share of pairs whose other half is among the first K of all pairs of the set.",
                    .row_heading = "Question",
                    .columns = {},
                    .rows = {},
                    .compare_rows = false};
  for (const int64_t k : kAt) table.columns.push_back("Recall@" + std::to_string(k));
  for (const CrossModalSet& set : sets) {
    const std::string among = ", " + set.name + " (" + std::to_string(set.ids.size()) + ")";
    table.rows.push_back({"title to photo" + among, "", recalls(set.places.title_to_photo)});
    table.rows.push_back({"photo to title" + among, "", recalls(set.places.photo_to_title)});
  }
  return table;
}

Json cross_modal_json(const std::vector<CrossModalSet>& sets) {
  Json json = Json::object();
  for (const CrossModalSet& set : sets) {
    json[set.name] = {{"pairs", set.ids.size()},
                      {"title_to_photo", recalls_json(set.places.title_to_photo)},
                      {"photo_to_title", recalls_json(set.places.photo_to_title)}};
  }
  return json;
}

void write_cross_modal(OutputFolder& output, const std::vector<CrossModalSet>& sets) {
  AtomicFile file(output.file("cross_modal.jsonl"));
  for (const CrossModalSet& set : sets) {
    for (size_t i = 0; i < set.ids.size(); ++i) {
      file.write(to_line({{"set", set.name},
                          {"id", set.ids[i]},
                          {"title_to_photo", rank_json(set.places.title_to_photo[i])},
                          {"photo_to_title", rank_json(set.places.photo_to_title[i])}}) +
                 "\n");
    }
  }
  file.commit();
}

}  // namespace capture
