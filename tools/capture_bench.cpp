// capture_bench: how fast the parts run on this machine, one JSON line a result.
#include "capture_bench/bench.h"
#include "common/program.h"

int main(int argc, char** argv) {
  CLI::App app("Times parts of the system; prints one JSON line a result.", "capture_bench");
  app.footer("Example: capture_bench train --batch 8 --steps 5 --dtype bf16");
  app.require_subcommand(1);
  const std::vector<capture::Benchmark> benchmarks = {capture::add_train(app), capture::add_embed(app),
                                                      capture::add_load(app), capture::add_search(app),
                                                      capture::add_checkpoint(app)};
  return capture::run_program(app, argc, argv, [&] {
    for (const auto& [command, run] : benchmarks) {
      if (*command) run();
    }
  });
}
