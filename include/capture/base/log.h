// Logging: spdlog on standard error (results go to standard output), and into a run folder's log.txt.
#pragma once

#include <spdlog/spdlog.h>

#include <filesystem>

namespace capture {

namespace log = spdlog;

/// Sends log lines to standard error, coloured on a terminal.
void start_logging(spdlog::level::level_enum level = spdlog::level::info);

/// Also appends every line to `path`, the last hundred since start_logging() first. UserError when it cannot be opened.
void log_to_file(const std::filesystem::path& path);

}  // namespace capture
