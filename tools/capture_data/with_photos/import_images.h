// "import-images": photos and titles from a CSV or JSONL list become shards.
#pragma once

#include <CLI/CLI.hpp>

namespace capture {

/// The command's one line of help.
inline constexpr const char* kImportImages = "Photos and titles become a dataset of regions.";

void add_import_images(CLI::App& app);

}  // namespace capture
