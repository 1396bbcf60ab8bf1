// Why no GPU can be used.
#pragma once

#include <string>
#include <string_view>

namespace capture {

struct NoGpu {
  std::string reason;
  bool is_news;  ///< there seems to be one: whoever asked for "auto" should hear of it
};

/// From what LibTorch says when it is asked to start CUDA; "": nothing.
NoGpu no_gpu(std::string_view error);

}  // namespace capture
