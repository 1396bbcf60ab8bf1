// capture_tokenizer train|encode|inspect: vocabularies, from the shell.
#include "capture_tokenizer/commands.h"
#include "common/program.h"

int main(int argc, char** argv) {
  CLI::App app("Vocabularies: make one from titles, turn titles into token ids, look into one.", "capture_tokenizer");
  app.footer(
      "Example: capture_tokenizer train --titles titles.txt --vocabulary-size 4000 --output titles.model\n"
      "         capture_tokenizer encode --type sentencepiece --vocab titles.model --ids < titles.txt > ids.txt");
  app.require_subcommand(1);
  capture::add_train(app);
  capture::add_encode(app);
  capture::add_inspect(app);
  // The sub-command's callback runs while the command line is parsed: nothing is left to do after it.
  return capture::run_program(app, argc, argv, [] {});
}
