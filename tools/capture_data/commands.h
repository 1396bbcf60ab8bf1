// The sub-commands of capture_data. Each adds itself to the program and runs from its callback.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>

#include "capture/data/sample_view.h"

namespace capture {

/// Writes a sample's regions as JPEG, drawn on the photo that is named or else on its thumbnail. UserError without
/// both.
using DrawRegions = std::function<void(const SampleView& sample, const std::filesystem::path& image,
                                       const std::filesystem::path& output)>;

/// The whole program. What looks at photos needs OpenCV and LibTorch, whose loading takes longer than most of what else
/// is asked, so it is two programs, and this is what they share (with_photos/, without_photos/).
int run_data_program(int argc, char** argv, const std::function<void(CLI::App&)>& add_import_images,
                     const DrawRegions& draw_regions);

/// "import-tsv", "import-lmdb", "import-list": the published files become shards (import_rows.cpp).
void add_import_tsv(CLI::App& app);
void add_import_lmdb(CLI::App& app);
void add_import_list(CLI::App& app);
/// "convert": precision, size of shards, token ids (convert.cpp).
void add_convert(CLI::App& app);
/// "inspect": a dataset's header and one sample, as a person reads them (inspect.cpp).
void add_inspect(CLI::App& app, const DrawRegions& draw_regions);
/// "synth": a synthetic twin of Product1M (synth.cpp).
void add_synth(CLI::App& app);
/// "stats": lengths, counts and frequencies, as a table, JSON and a page (stats.cpp).
void add_stats(CLI::App& app);
/// "subset": some samples, by id, number, label or at random (subset.cpp).
void add_subset(CLI::App& app);
/// "verify": every checksum and invariant (verify.cpp).
void add_verify(CLI::App& app);

}  // namespace capture
