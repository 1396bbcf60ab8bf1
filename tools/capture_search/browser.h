#pragma once

#include <filesystem>

namespace capture {

/// Hands the file to the desktop's browser (xdg-open) and does not wait for it. Returns whether there is a desktop, or
/// a $BROWSER, and the browser's starter could be started.
bool open_in_browser(const std::filesystem::path& file);

}  // namespace capture
