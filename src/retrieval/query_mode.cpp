#include "capture/retrieval/query_mode.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "capture/base/error.h"

namespace capture {

namespace {

/// Stored samples are read so many at a time: enough for full batches, little enough to stay in the caches.
constexpr int64_t kSamplesAtOnce = 256;

/// Questions are searched for so many at a time: lists of all of them would not fit into memory.
constexpr int64_t kQuestionsAtOnce = 2048;

/// Only the first view and title are looked at.
Sample question_of(const SampleView& stored, bool with_title, bool with_photo) {
  Sample sample;
  sample.id = stored.id();
  if (with_title) sample.titles = {std::string(stored.title())};
  if (!with_photo) return sample;
  const RegionsView view = stored.regions();
  Regions& photo = sample.views.emplace_back();
  photo.image_width = view.image_width;
  photo.image_height = view.image_height;
  photo.boxes.assign(view.boxes.begin(), view.boxes.end());
  photo.features.resize(static_cast<size_t>(view.count * view.feature_width));
  view.copy_features(photo.features.data());
  return sample;
}

void add_instances(const SampleView& stored, int64_t max_regions, std::vector<Sample>& questions) {
  const RegionsView view = stored.regions();
  const int64_t count = max_regions == 0 ? view.count : std::min(view.count, max_regions);
  for (int64_t region = 0; region < count; ++region) {
    Sample& sample = questions.emplace_back();
    sample.id = stored.id();
    Regions& photo = sample.views.emplace_back();
    photo.image_width = photo.image_height = 1;
    photo.boxes = {0, 0, 1, 1};
    photo.features.resize(static_cast<size_t>(view.feature_width));
    view.copy_feature(region, photo.features.data());
  }
}

std::vector<Sample> questions_of(QueryMode mode, const Dataset& queries, int64_t begin, int64_t end,
                                 int64_t max_regions) {
  std::vector<Sample> questions;
  for (int64_t i = begin; i < end; ++i) {
    if (mode == QueryMode::instances) {
      add_instances(queries.sample(i), max_regions, questions);
    } else {
      questions.push_back(question_of(queries.sample(i), mode == QueryMode::text, mode == QueryMode::image));
    }
  }
  return questions;
}

PairEmbeddings joined(const std::vector<PairEmbeddings>& parts) {
  const auto join = [&](at::Tensor PairEmbeddings::*member) {
    std::vector<at::Tensor> tensors;
    for (const PairEmbeddings& part : parts) tensors.push_back(part.*member);
    return tensors.front().defined() ? at::cat(tensors) : at::Tensor();
  };
  return {join(&PairEmbeddings::text_projection), join(&PairEmbeddings::region_projection),
          join(&PairEmbeddings::text_pooled), join(&PairEmbeddings::region_pooled)};
}

std::vector<int64_t> starts_of(QueryMode mode, const Dataset& queries, int64_t max_regions) {
  std::vector<int64_t> starts = {0};
  for (int64_t i = 0; i < queries.size(); ++i) {
    const int64_t regions = mode == QueryMode::instances ? queries.sample(i).regions().count : 1;
    starts.push_back(starts.back() + (max_regions == 0 ? regions : std::min(regions, max_regions)));
  }
  return starts;
}

}  // namespace

const char* name_of(QueryMode mode) {
  switch (mode) {
    case QueryMode::whole:
      return "whole";
    case QueryMode::text:
      return "text";
    case QueryMode::image:
      return "image";
    case QueryMode::instances:
      return "instances";
  }
  TORCH_INTERNAL_ASSERT(false, "unknown mode");
}

QueryMode parse_query_mode(const std::string& name) {
  for (const QueryMode mode : {QueryMode::whole, QueryMode::text, QueryMode::image, QueryMode::instances}) {
    if (name == name_of(mode)) return mode;
  }
  throw UserError(
      {.what = "there is no query mode '" + name + "'", .where = "--mode", .allowed = "whole, text, image, instances"});
}

QueryVectors embed_queries(const std::optional<CacheOfModel>& cache, QueryMode mode, HybridStreamModel& model,
                           at::Device device, const Dataset& queries, const Tokenizer& tokenizer,
                           const EmbedderOptions& options, const EmbedProgress& progress) {
  QueryVectors vectors;
  if (mode == QueryMode::whole) {
    vectors.questions = embed_cached(cache, model, device, queries, tokenizer, options, progress);
    vectors.starts.resize(static_cast<size_t>(queries.size()) + 1);
    std::iota(vectors.starts.begin(), vectors.starts.end(), 0);
    return vectors;
  }
  vectors.starts = starts_of(mode, queries, options.max_regions);
  const auto run = [&] {
    std::vector<PairEmbeddings> parts;
    for (int64_t begin = 0; begin < queries.size(); begin += kSamplesAtOnce) {
      const int64_t end = std::min(queries.size(), begin + kSamplesAtOnce);
      const std::vector<Sample> questions = questions_of(mode, queries, begin, end, options.max_regions);
      parts.push_back(embed_samples(model, device, questions, tokenizer, options));
      if (progress) progress(end);
    }
    return joined(parts);
  };
  if (cache) {
    const auto key = embedding_key(cache->fingerprint, device, queries, tokenizer, options, name_of(mode));
    vectors.questions = cache->entries.find_or(key, run);
  } else {
    vectors.questions = run();
  }
  if (progress) progress(queries.size());
  return vectors;
}

void require_fit(QueryMode mode, Recipe recipe) {
  const bool lacks_photo = mode == QueryMode::text;
  const bool lacks_title = mode == QueryMode::image || mode == QueryMode::instances;
  const bool useless =
      (lacks_photo && recipe.query == RecipeFusion::image) || (lacks_title && recipe.query == RecipeFusion::text);
  if (!useless) return;
  throw UserError(
      {.what = std::string("under the mode ") + name_of(mode) + " a query has no " + (lacks_photo ? "photo" : "title") +
               ", and the recipe " + name_of(recipe) + " looks at nothing else of it",
       .where = "--recipe",
       .allowed = "a recipe whose query side is sum, concat or " + std::string(lacks_photo ? "text" : "image")});
}

std::vector<Match> merged(const std::vector<std::vector<Match>>& lists, Merge merge, size_t depth,
                          std::span<const std::string_view> ids) {
  struct Best {
    Match match;
    size_t place;
  };
  const auto better = [&](const Best& a, const Best& b) {
    if (merge == Merge::rank && a.place != b.place) return a.place < b.place;
    return a.match.score > b.match.score;
  };
  std::unordered_map<int32_t, Best> best;
  for (const std::vector<Match>& list : lists) {
    for (size_t place = 0; place < std::min(depth, list.size()); ++place) {
      const Best found{list[place], place};
      const auto [entry, added] = best.try_emplace(found.match.item, found);
      if (!added && better(found, entry->second)) entry->second = found;
    }
  }
  std::vector<Best> all;
  for (const auto& [item, found] : best) all.push_back(found);
  std::ranges::sort(all, [&](const Best& a, const Best& b) {
    if (better(a, b) || better(b, a)) return better(a, b);
    return ids[static_cast<size_t>(a.match.item)] < ids[static_cast<size_t>(b.match.item)];
  });
  all.resize(std::min(all.size(), depth));
  std::vector<Match> matches;
  for (const Best& found : all) {
    matches.push_back(found.match);
    if (merge == Merge::rank) matches.back().score = 1.0F / static_cast<float>(found.place + 1);
  }
  return matches;
}

Rankings rank_questions(const at::Tensor& questions, const std::vector<int64_t>& starts, const at::Tensor& gallery,
                        const GroundTruth& truth, const SearchOptions& options, Merge merge) {
  if (questions.size(0) == static_cast<int64_t>(truth.queries().size())) {
    return rank(questions, gallery, truth, options);  // one each
  }
  const std::vector<std::string_view> ids = item_ids(truth);
  Rankings rankings = unranked(truth, "the rankings");
  for (size_t begin = 0; begin < rankings.lines.size();) {
    size_t end = begin + 1;
    while (end < rankings.lines.size() && starts[end + 1] - starts[begin] <= kQuestionsAtOnce) ++end;
    const auto found = exact_search(questions.slice(0, starts[begin], starts[end]), gallery, ids, options);
    for (size_t q = begin; q < end; ++q) {
      const auto first = found.begin() + (starts[q] - starts[begin]);
      const std::vector<std::vector<Match>> lists(first, first + (starts[q + 1] - starts[q]));
      for (const Match& match : merged(lists, merge, static_cast<size_t>(options.depth), ids)) {
        rankings.lines[q].items.push_back(match.item);
        rankings.lines[q].scores.push_back(match.score);
      }
    }
    begin = end;
  }
  return rankings;
}

}  // namespace capture
