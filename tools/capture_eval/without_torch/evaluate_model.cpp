// capture_eval asked for a model: it becomes the program that has LibTorch in it.
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "capture/base/error.h"
#include "capture_eval/arguments.h"

namespace capture {

void evaluate_model(const EvalArguments& arguments) {
  const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const auto program = here.parent_path() / "libexec" / "capture_eval_model";
  std::vector<char*> words;
  for (const std::string& word : arguments.command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  ::execv(program.c_str(), words.data());
  throw UserError({.what = std::string("cannot be started: ") + std::strerror(errno),
                   .where = program.string(),
                   .hint = "keep bin and libexec of the build folder together"});
}

}  // namespace capture
