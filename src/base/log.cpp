#include "capture/base/log.h"

#include <fmt/chrono.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/ringbuffer_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <atomic>
#include <cstdio>
#include <ctime>
#include <string>

#include "capture/base/error.h"
#include "capture/base/terminal.h"

namespace capture {

namespace {

/// Lines before there is a file for them: what a resumed run says of a changed configuration, say.
constexpr size_t kEarlyLines = 100;

/// A full disk fails every line: said once, and not through the log.
void say_that_lines_are_lost(const std::string& reason) {
  static std::atomic_flag said;
  if (said.test_and_set()) return;
  const std::string now = fmt::format("{:%H:%M:%S}", fmt::localtime(std::time(nullptr)));
  std::fprintf(stderr, "%s warning the log cannot be written and may lack lines from here on: %s\n", now.c_str(),
               reason.c_str());
}

}  // namespace

void start_logging(spdlog::level::level_enum level) {
  const spdlog::sinks_init_list sinks = {std::make_shared<spdlog::sinks::stderr_color_sink_mt>(),
                                         std::make_shared<spdlog::sinks::ringbuffer_sink_mt>(kEarlyLines)};
  auto logger = std::make_shared<spdlog::logger>("capture", sinks);
  logger->set_level(level);
  logger->set_pattern(std::string(line_start()) + "%H:%M:%S %^%l%$ %v");
  logger->flush_on(spdlog::level::info);
  logger->set_error_handler(say_that_lines_are_lost);
  spdlog::set_default_logger(std::move(logger));
}

void log_to_file(const std::filesystem::path& path) {
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string());
    sink->set_pattern("%Y-%m-%d %H:%M:%S.%e %l %v");
    auto& sinks = spdlog::default_logger()->sinks();
    if (auto* const early = dynamic_cast<spdlog::sinks::ringbuffer_sink_mt*>(sinks.back().get())) {
      for (const auto& message : early->last_raw()) sink->log(message);
      sinks.pop_back();
    }
    sinks.push_back(std::move(sink));
  } catch (const spdlog::spdlog_ex& error) {
    throw UserError({.what = std::string("cannot write the log: ") + error.what(), .where = path.string()});
  }
}

}  // namespace capture
