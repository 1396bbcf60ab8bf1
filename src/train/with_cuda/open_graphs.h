// What graph_backend.cpp finds in libexec/capture_cuda_graphs.so.
#pragma once

#include <c10/core/Device.h>

#include <memory>

#include "capture/train/graph_backend.h"

extern "C" void capture_open_graphs(c10::Device device, std::unique_ptr<capture::GraphBackend>& backend);
