// capture_data convert: a dataset in another precision, in shards of another size, with or without token ids.
#include <fmt/format.h>

#include <memory>
#include <numeric>

#include "commands.h"
#include "rewrite.h"

namespace capture {

void add_convert(CLI::App& app) {
  CLI::App* command = app.add_subcommand("convert", "Stores a dataset anew: precision, size of shards, token ids.");
  const auto options = std::make_shared<RewriteOptions>();
  add_rewrite_options(*command, *options);
  command->footer("Example: capture_data convert data/train --feature-type int8 --output data/train_int8");
  command->callback([options] {
    const Dataset dataset(options->datasets);
    std::vector<int64_t> all(static_cast<size_t>(dataset.size()));
    std::iota(all.begin(), all.end(), 0);
    fmt::print("{}\n", rewrite(*options, dataset, all, "all"));
  });
}

}  // namespace capture
