// The sub-commands of capture_data. Each adds itself to the program and runs from its callback.
#pragma once

#include <CLI/CLI.hpp>

namespace capture {

/// "import-images": photos and titles from a CSV or JSONL list become a shard (import_images.cpp).
void add_import_images(CLI::App& app);
/// "import-tsv", "import-lmdb", "import-list": the published files become shards (import_rows.cpp).
void add_import_tsv(CLI::App& app);
void add_import_lmdb(CLI::App& app);
void add_import_list(CLI::App& app);
/// "convert": precision, size of shards, token ids (convert.cpp).
void add_convert(CLI::App& app);
/// "inspect": a dataset's header and one sample, as a person reads them (inspect.cpp).
void add_inspect(CLI::App& app);
/// "synth": a synthetic twin of Product1M (synth.cpp).
void add_synth(CLI::App& app);
/// "stats": lengths, counts and frequencies, as a table, JSON and a page (stats.cpp).
void add_stats(CLI::App& app);
/// "subset": some samples, by id, number, label or at random (subset.cpp).
void add_subset(CLI::App& app);
/// "verify": every checksum and invariant (verify.cpp).
void add_verify(CLI::App& app);

}  // namespace capture
