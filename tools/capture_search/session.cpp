// From questions to answers: read, see, embed, search, print.
#include "capture_search/session.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <thread>
#include <utility>

#include "capture/base/error.h"
#include "capture/base/in_order.h"
#include "capture/base/json.h"
#include "capture/base/log.h"
#include "capture/base/terminal.h"
#include "capture/tensor/runtime.h"
#include "capture/text/titles.h"
#include "capture_search/answer.h"
#include "capture_search/gallery_search.h"
#include "capture_search/page.h"
#include "capture_search/photo_reader.h"

namespace capture {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr size_t kAskedAtOnce = 64;

/// Questions that are answered together.
struct Round {
  std::vector<Question> questions;
  std::vector<Sample> samples;  ///< one a question, empty where it has a problem
  std::vector<Recipe> recipes;
  std::vector<std::vector<Match>> found;
};

class Session {
 public:
  explicit Session(const SearchArguments& arguments)
      : arguments_(arguments), gallery_(arguments.gallery), page_(arguments, gallery_) {
    if (!arguments.recipe.empty()) recipe_ = parse_recipe(arguments.recipe);
  }

  void run() {
    if (arguments_.single()) {
      ask_one();
    } else {
      ask_lines();
    }
    if (page_.wanted()) page_.write(search_->subject().name);
    // Whoever typed the questions has read what was wrong with them.
    if (failed_ == 0 || dialogue_) return;
    throw UserError({.what = fmt::format("{} of {} questions could not be answered", failed_, asked_),
                     .where = source(),
                     .hint = "the lines above say why"});
  }

 private:
  std::string source() const { return arguments_.questions.empty() ? "standard input" : arguments_.questions.string(); }

  void ask_one() {
    Round round;
    round.questions.push_back({.id = {},
                               .photo = arguments_.photo.value_or(""),
                               .title = arguments_.title.value_or(""),
                               .where = {},
                               .problem = {}});
    // What is wrong with the question is said before any time goes into loading.
    prepare(round);
    refuse_problem(round);
    load();
    find(round);
    refuse_problem(round);
    print(round);
  }

  static void refuse_problem(const Round& round) {
    if (!round.questions[0].problem.empty()) throw UserError({.what = round.questions[0].problem});
  }

  void ask_lines() {
    std::optional<LineReader> lines;
    if (arguments_.questions.empty()) {
      lines.emplace(STDIN_FILENO, source());
    } else {
      lines.emplace(arguments_.questions);
    }
    load();
    dialogue_ = arguments_.questions.empty() && ::isatty(STDIN_FILENO) == 1;
    if (dialogue_) std::fprintf(stderr, "A title, or {\"photo\": \"…\", \"title\": \"…\"}; Ctrl-D ends.\n");
    const fs::path folder = arguments_.questions.parent_path();
    Round round;
    std::string_view line;
    for (int64_t number = 1;; ++number) {
      // Whoever waits for an answer before the next question gets it.
      if (!lines->ready() || round.questions.size() == kAskedAtOnce) answer(round);
      if (dialogue_) std::fprintf(stderr, "> ");
      if (!lines->next(line)) break;
      if (auto question = parse_question(line, number, lines->where(), folder)) {
        round.questions.push_back(std::move(*question));
      }
    }
    answer(round);
    if (dialogue_) std::fprintf(stderr, "\n");
  }

  void load() {
    search_.emplace(arguments_, gallery_);
    if (!arguments_.timing) return;
    const LoadingTimes& times = search_->loading();
    log::info("ready after {:.0f} ms: model {:.0f} ms, embeddings of {} gallery items {:.0f} ms",
              milliseconds_since(started_), times.model, gallery_.size(), times.gallery);
  }

  static double milliseconds_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  }

  /// Answers what has been asked, and empties the round.
  void answer(Round& round) {
    if (round.questions.empty()) return;
    prepare(round);
    find(round);
    print(round);
    round = {};
  }

  /// Fills in samples and recipes; what is wrong with a question stays with it.
  void prepare(Round& round) {
    const auto start = Clock::now();
    const auto has_photo = [](const Question& question) { return !question.photo.empty(); };
    if (!photos_ && std::ranges::any_of(round.questions, has_photo)) {
      photos_.emplace(gallery_, photo_reader_options());
    }
    const size_t count = round.questions.size();
    round.samples.resize(count);
    round.recipes.resize(count);
    const auto see = [&](size_t i) {
      Question& question = round.questions[i];
      if (!question.problem.empty()) return i;
      try {
        round.recipes[i] = recipe_for(question, recipe_);
        round.samples[i] = has_photo(question) ? photos_->read(question) : title_sample(question);
      } catch (const UserError& error) {
        question.problem = error.what();
      }
      return i;
    };
    if (count == 1) {
      see(0);
    } else {
      in_order(count, std::max(1U, std::thread::hardware_concurrency()), see, [](size_t, size_t) {});
    }
    photo_time_ = milliseconds_since(start);
  }

  PhotoReaderOptions photo_reader_options() const {
    return {.vision = arguments_.vision,
            .scaling = arguments_.scaling,
            .backbone = arguments_.backbone,
            .folders = training_folders(arguments_.model.run)};
  }

  /// Searches for every question without a problem, all at once; should the model refuse one, one by one.
  void find(Round& round) {
    round.found.resize(round.questions.size());
    std::vector<size_t> sound;
    for (size_t i = 0; i < round.questions.size(); ++i) {
      if (round.questions[i].problem.empty()) sound.push_back(i);
    }
    times_ = {};
    if (sound.empty()) return;
    try {
      find(round, sound);
    } catch (const UserError& error) {
      if (sound.size() == 1) {
        round.questions[sound[0]].problem = error.what();
        return;
      }
      for (const size_t i : sound) {
        try {
          find(round, {i});
        } catch (const UserError& alone) {
          round.questions[i].problem = alone.what();
        }
      }
    }
  }

  void find(Round& round, const std::vector<size_t>& which) {
    std::vector<Sample> samples;
    std::vector<Recipe> recipes;
    for (const size_t i : which) {
      samples.push_back(round.samples[i]);
      recipes.push_back(round.recipes[i]);
    }
    auto found = search_->search(samples, recipes, arguments_.top, times_);
    for (size_t i = 0; i < which.size(); ++i) round.found[which[i]] = std::move(found[i]);
  }

  void print(Round& round) {
    for (size_t i = 0; i < round.questions.size(); ++i) {
      ++asked_;
      if (round.questions[i].problem.empty()) {
        const Answer answer = answer_of(round, i);
        print(round.questions[i], answer);
        if (page_.wanted()) page_.add(round.questions[i], answer, std::move(round.samples[i].thumbnail));
      } else {
        print_problem(round.questions[i]);
      }
    }
    std::fflush(stdout);
    if (!arguments_.timing) return;
    const auto count = static_cast<double>(round.questions.size());
    log::info("{} question{} in {:.1f} ms{}: photo {:.2f}, model {:.2f}, search {:.2f}", round.questions.size(),
              count > 1 ? "s" : "", photo_time_ + times_.embedding + times_.search, count > 1 ? ", each" : "",
              photo_time_ / count, times_.embedding / count, times_.search / count);
  }

  Answer answer_of(const Round& round, size_t i) const {
    Answer answer{
        .how = in_words(round.recipes[i], round.questions[i]), .recipe = name_of(round.recipes[i]), .found = {}};
    for (const Match& match : round.found[i]) {
      const SampleView sample = gallery_.sample(match.item);
      const std::vector<std::string_view> labels = sample.labels();
      answer.found.push_back({.id = std::string(sample.id()),
                              .title = std::string(sample.title()),
                              .labels = {labels.begin(), labels.end()},
                              .score = match.score,
                              .item = match.item});
    }
    return answer;
  }

  void print(const Question& question, const Answer& answer) const {
    if (arguments_.json) {
      std::puts(to_line(to_json(question, answer)).c_str());
    } else {
      std::printf("%s%s", asked_ > 1 ? "\n" : "", to_table(question, answer, terminal_columns(STDOUT_FILENO)).c_str());
    }
  }

  void print_problem(const Question& question) {
    ++failed_;
    if (dialogue_) {
      std::fprintf(stderr, "%s\n", question.problem.c_str());
    } else {
      log::warn("{}: {}", question.where, question.problem);
    }
    if (arguments_.json) std::puts(to_line(problem_json(question)).c_str());
  }

  const SearchArguments& arguments_;
  Dataset gallery_;
  Clock::time_point started_ = Clock::now();
  std::optional<Recipe> recipe_;
  std::optional<GallerySearch> search_;
  std::optional<PhotoReader> photos_;
  PageWriter page_;
  double photo_time_ = 0;  // of the last round, milliseconds
  AnswerTimes times_;
  bool dialogue_ = false;  // a person types the questions
  int64_t asked_ = 0;
  int64_t failed_ = 0;
};

}  // namespace

void search(const SearchArguments& arguments) {
  tune_cpu_runtime(arguments.model.threads);
  Session(arguments).run();
}

}  // namespace capture
