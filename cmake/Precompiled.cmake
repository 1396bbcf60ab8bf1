# Headers that take seconds to read are read once a build instead of once a source file.
#
#   capture_precompiled(torch HEADERS <ATen/ATen.h> … LINKS capture::torch …)   makes the set of headers "torch"
#   capture_use_precompiled(TARGET torch)                                       gives it to a target
#
# A build with -DCAPTURE_PRECOMPILE=OFF shows that every source includes what it uses.

option(CAPTURE_PRECOMPILE "Precompile the heavy headers (GCC)" ON)

function(capture_precompiled NAME)
  cmake_parse_arguments(SET "" "" "HEADERS;LINKS" ${ARGN})
  if(NOT CAPTURE_PRECOMPILE OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    return()
  endif()
  set(source ${CMAKE_BINARY_DIR}/precompiled/${NAME}.cpp)
  if(NOT EXISTS ${source})
    file(WRITE ${source} "")
  endif()
  add_library(capture_precompiled_${NAME} OBJECT ${source})
  target_link_libraries(capture_precompiled_${NAME} PUBLIC capture_settings ${SET_LINKS})
  target_precompile_headers(capture_precompiled_${NAME} PRIVATE ${SET_HEADERS})
  target_compile_options(capture_precompiled_${NAME} PRIVATE -fpch-preprocess)
endfunction()

function(capture_use_precompiled TARGET NAME)
  if(TARGET capture_precompiled_${NAME})
    target_precompile_headers(${TARGET} REUSE_FROM capture_precompiled_${NAME})
    target_compile_options(${TARGET} PRIVATE -fpch-preprocess)  # what ccache needs to cache such a build
  endif()
endfunction()
