# capture_room(NAME KNOWS room... [USES library...] [PRECOMPILED set] [UNITY] [WITHOUT folder])
#
# One room is one library, capture_<room>, made of src/<room>/*.cpp and src/<room>/*/*.cpp. WITHOUT names a folder in it
# that is built apart. KNOWS is the complete list of the rooms it may include; tests/house/check_rooms.py reads it from
# here and fails the build's tests when an include breaks it. Its tests, tests/<room>/*_test.cpp, become the program
# capture_<room>_tests (see tests/CMakeLists.txt).
# Sources on LibTorch cost seconds each before their own first line. Those of a target are compiled several at a time;
# -DCAPTURE_UNITY=OFF compiles them one by one, which is quicker after a small change and shows that each includes what it
# uses.
option(CAPTURE_UNITY "Compile the sources of targets on LibTorch several at a time" ON)
function(capture_use_unity TARGET)
  if(CAPTURE_UNITY)
    set_target_properties(${TARGET} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 6)
    # A class in an included source is taken for one in a header.
    target_compile_options(${TARGET} PRIVATE -Wno-subobject-linkage)
  endif()
endfunction()

function(capture_room NAME)
  cmake_parse_arguments(ROOM "UNITY" "PRECOMPILED;WITHOUT" "KNOWS;USES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp ${CMAKE_CURRENT_SOURCE_DIR}/*/*.cpp)
  if(ROOM_WITHOUT)
    list(FILTER sources EXCLUDE REGEX "/${ROOM_WITHOUT}/[^/]*$")
  endif()
  list(TRANSFORM ROOM_KNOWS PREPEND capture_)
  if(sources)
    add_library(capture_${NAME} STATIC ${sources})
    target_link_libraries(capture_${NAME} PUBLIC capture_settings ${ROOM_KNOWS} ${ROOM_USES})
    if(ROOM_UNITY)
      capture_use_unity(capture_${NAME})
    endif()
    if(ROOM_PRECOMPILED)
      capture_use_precompiled(capture_${NAME} ${ROOM_PRECOMPILED})
    endif()
  else()
    add_library(capture_${NAME} INTERFACE)
    target_link_libraries(capture_${NAME} INTERFACE capture_settings ${ROOM_KNOWS} ${ROOM_USES})
  endif()
endfunction()
