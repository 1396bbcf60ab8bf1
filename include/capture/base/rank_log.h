// The log of a process that is one of several in a run.
#pragma once

#include <string>

namespace capture {

/// For a process beside the one that speaks to the user: from here on standard error gets warnings and errors alone,
/// each beginning with `name`.
void log_quietly_as(const std::string& name);

/// Writes an error into the files of log_to_file() alone, when standard error gets it in other words. Files that cannot
/// be written are passed over.
void log_error_to_files(const std::string& message);

}  // namespace capture
