# The imported target capture::torch: LibTorch from a folder the user names, or from the wheel that tools/setup caches.
#
#   -DCAPTURE_LIBTORCH=/opt/libtorch   any LibTorch with include/ and lib/ (the zip from pytorch.org, or a wheel's torch/)
#
# A CPU-only and a CUDA build of LibTorch both serve. Nothing here needs the CUDA toolkit: no source of ours is compiled
# by nvcc, and libtorch_cuda.so is loaded when a program is asked to use a GPU, so that a CPU run never pays for it.

set(CAPTURE_TORCH_VERSION 2.11.0)
set(CAPTURE_LIBTORCH "" CACHE PATH "LibTorch folder (holds include/ and lib/); empty: the wheel in the user cache")

if(CAPTURE_LIBTORCH)
  set(_torch ${CAPTURE_LIBTORCH})
else()
  if(DEFINED ENV{XDG_CACHE_HOME})
    set(_cache $ENV{XDG_CACHE_HOME})
  else()
    set(_cache $ENV{HOME}/.cache)
  endif()
  set(_torch ${_cache}/capture/torch-${CAPTURE_TORCH_VERSION}/torch)
endif()
if(NOT EXISTS ${_torch}/lib/libtorch_cpu.so OR NOT EXISTS ${_torch}/include/ATen/ATen.h)
  message(FATAL_ERROR "No LibTorch in ${_torch}. Run tools/setup, or pass -DCAPTURE_LIBTORCH=<folder with include/ and lib/>.")
endif()
message(STATUS "LibTorch: ${_torch}")

add_library(capture_torch INTERFACE)
add_library(capture::torch ALIAS capture_torch)
target_include_directories(capture_torch SYSTEM INTERFACE ${_torch}/include ${_torch}/include/torch/csrc/api/include)
target_link_directories(capture_torch INTERFACE ${_torch}/lib)
# The wheel's libraries find their own dependencies (cudart, cupti) by RPATH; the linker need not resolve them.
target_link_options(capture_torch INTERFACE -Wl,--allow-shlib-undefined -Wl,-rpath,${_torch}/lib)
target_link_libraries(capture_torch INTERFACE torch_cpu c10)
