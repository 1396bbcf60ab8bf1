# capture_cuda_module(NAME SOURCE file MISSING sentence [NEEDS folder...])
#
# Code that is linked to LibTorch's CUDA library is a library of its own, libexec/NAME.so, which a run on GPUs loads. It is
# built where LibTorch has CUDA and the headers are there: CUDA's come from wheels (tools/setup) or from a toolkit, and
# some wheels of the runtime leave the last two files out. NEEDS names further include folders. Otherwise MISSING says what
# a run will do without.
set(_cuda_hints ${_torch}/../nvidia/cu13/include /usr/local/cuda/include)
find_path(CAPTURE_CUDA_INCLUDE cuda_runtime_api.h HINTS ${_cuda_hints})
find_path(CAPTURE_CUDA_CRT_INCLUDE crt/host_config.h HINTS ${_cuda_hints})
find_path(CAPTURE_CUDA_CCCL_INCLUDE nv/target HINTS ${_cuda_hints} /usr/local/cuda/include/cccl)

function(capture_cuda_module NAME)
  cmake_parse_arguments(MODULE "" "SOURCE;MISSING" "NEEDS" ${ARGN})
  if(NOT EXISTS ${_torch}/lib/libtorch_cuda.so)
    return()
  endif()
  set(headers ${MODULE_NEEDS} ${CAPTURE_CUDA_INCLUDE} ${CAPTURE_CUDA_CRT_INCLUDE} ${CAPTURE_CUDA_CCCL_INCLUDE})
  if("${headers}" MATCHES NOTFOUND)
    message(STATUS "${MODULE_MISSING}: CUDA's headers are missing (${headers})")
    return()
  endif()
  add_library(${NAME} MODULE ${MODULE_SOURCE})
  target_include_directories(${NAME} SYSTEM PRIVATE ${headers})
  target_link_libraries(${NAME} PRIVATE capture_settings capture::torch torch_cuda c10_cuda)
  set_target_properties(${NAME} PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/libexec)
endfunction()
