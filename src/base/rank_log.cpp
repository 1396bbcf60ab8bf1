#include "capture/base/rank_log.h"

#include <spdlog/sinks/sink.h>

#include "capture/base/log.h"
#include "capture/base/terminal.h"

namespace capture {

void log_quietly_as(const std::string& name) {
  auto& terminal = *spdlog::default_logger()->sinks().front();
  terminal.set_level(spdlog::level::warn);
  terminal.set_pattern(std::string(line_start()) + "%H:%M:%S %^%l%$ " + name + ": %v");
}

void log_error_to_files(const std::string& message) {
  const auto& sinks = spdlog::default_logger()->sinks();
  for (size_t i = 1; i < sinks.size(); ++i) {
    try {
      sinks[i]->log({spdlog::default_logger()->name(), spdlog::level::err, message});
      sinks[i]->flush();
    } catch (const spdlog::spdlog_ex&) {
      continue;  // the disk may be what the message is about
    }
  }
}

}  // namespace capture
