# capture_room(NAME KNOWS room... [USES library...] [PRECOMPILED set] [WITHOUT folder])
#
# One room is one library, capture_<room>, made of src/<room>/*.cpp and src/<room>/*/*.cpp. WITHOUT names a folder in it
# that is built apart. KNOWS is the complete list of the rooms it may include; tests/house/check_rooms.py reads it from
# here and fails the build's tests when an include breaks it. Its tests, tests/<room>/*_test.cpp, become the program
# capture_<room>_tests (see tests/CMakeLists.txt).
function(capture_room NAME)
  cmake_parse_arguments(ROOM "" "PRECOMPILED;WITHOUT" "KNOWS;USES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp ${CMAKE_CURRENT_SOURCE_DIR}/*/*.cpp)
  if(ROOM_WITHOUT)
    list(FILTER sources EXCLUDE REGEX "/${ROOM_WITHOUT}/[^/]*$")
  endif()
  list(TRANSFORM ROOM_KNOWS PREPEND capture_)
  if(sources)
    add_library(capture_${NAME} STATIC ${sources})
    target_link_libraries(capture_${NAME} PUBLIC capture_settings ${ROOM_KNOWS} ${ROOM_USES})
    if(ROOM_PRECOMPILED)
      capture_use_precompiled(capture_${NAME} ${ROOM_PRECOMPILED})
    endif()
  else()
    add_library(capture_${NAME} INTERFACE)
    target_link_libraries(capture_${NAME} INTERFACE capture_settings ${ROOM_KNOWS} ${ROOM_USES})
  endif()
endfunction()
