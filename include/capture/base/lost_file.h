// A mapped file that goes away under its reader: shortened, or on a disk or network that fails.
#pragma once

#include <string_view>

namespace capture {

/// From here on, reading such a file ends the process with exit code 1 and one sentence on standard error that names
/// the file, beginning with `program`, where the system would end it by SIGBUS without a word.
void explain_lost_files(std::string_view program);

}  // namespace capture
