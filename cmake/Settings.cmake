# Compiler settings that every target of ours shares: warnings are errors, sanitizers on request, ccache and mold when found.

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(CAPTURE_CCACHE ccache)
if(CAPTURE_CCACHE)
  # CCACHE_BASEDIR and NOHASHDIR let every checkout and build folder share one cache; the sloppiness is what ccache's
  # manual asks for with precompiled headers.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros ${CAPTURE_CCACHE})
endif()

find_program(CAPTURE_MOLD mold)
if(CAPTURE_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_library(capture_settings INTERFACE)
target_include_directories(capture_settings INTERFACE ${CMAKE_SOURCE_DIR}/include)
target_compile_options(capture_settings INTERFACE -Wall -Wextra -Wpedantic -Werror)
target_compile_definitions(capture_settings INTERFACE CAPTURE_VERSION="${PROJECT_VERSION}")
if(CAPTURE_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined -g1 -O1)
  add_link_options(-fsanitize=address,undefined)
endif()

# LibTorch ships its own fmt; spdlog wants the system's. A folder that holds nothing but a link to the system's fmt,
# searched first, settles which one is meant.
set(CAPTURE_FMT_FIRST ${CMAKE_BINARY_DIR}/fmt_first)
find_path(CAPTURE_FMT_INCLUDE fmt/core.h PATHS /usr/include NO_DEFAULT_PATH REQUIRED)
file(MAKE_DIRECTORY ${CAPTURE_FMT_FIRST})
file(CREATE_LINK ${CAPTURE_FMT_INCLUDE}/fmt ${CAPTURE_FMT_FIRST}/fmt SYMBOLIC)
target_include_directories(capture_settings SYSTEM BEFORE INTERFACE ${CAPTURE_FMT_FIRST})
