# The two functions every CMakeLists.txt of the house uses: headgate_room() and headgate_program().

add_library(headgate_flags INTERFACE)
target_compile_options(headgate_flags INTERFACE -Wall -Wextra -Wshadow -fno-math-errno
  $<$<CXX_COMPILER_ID:Clang>:-Wno-unknown-warning-option>
  # g++ 12 sees overlapping copies inside its own std::string at -O3 (GCC bug 105651).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
if(HEADGATE_WERROR)
  target_compile_options(headgate_flags INTERFACE -Werror)
endif()
if(HEADGATE_SANITIZE)
  target_compile_options(headgate_flags INTERFACE -fsanitize=${HEADGATE_SANITIZE}
    -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(headgate_flags INTERFACE -fsanitize=${HEADGATE_SANITIZE})
endif()
if(HEADGATE_FUZZ)
  target_compile_options(headgate_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# headgate_room(<name>
#   DEPS <rooms>             rooms this one may include (tools/check_layers holds the sources to it)
#   LIBS <targets>           third-party libraries its own sources use
#   PUBLIC_LIBS <targets>    third-party libraries its doors expose
#   HEADERS <files>          the doors: headers that other rooms may include
#   SOURCES <files>          everything else: .cpp, .S and private headers
#   TESTS <files>            unit tests, linked into headgate_<name>_test
#   TEST_LIBS <targets>)     third-party libraries only the tests use
function(headgate_room name)
  cmake_parse_arguments(R "" "" "DEPS;LIBS;PUBLIC_LIBS;HEADERS;SOURCES;TESTS;TEST_LIBS" ${ARGN})
  add_library(headgate_${name} STATIC ${R_SOURCES})
  target_sources(headgate_${name} PUBLIC FILE_SET HEADERS
    BASE_DIRS ${CMAKE_SOURCE_DIR}/src FILES ${R_HEADERS})
  set_target_properties(headgate_${name} PROPERTIES LINKER_LANGUAGE CXX)
  list(TRANSFORM R_DEPS PREPEND headgate_)
  target_link_libraries(headgate_${name} PUBLIC ${R_DEPS} ${R_PUBLIC_LIBS}
    PRIVATE headgate_flags ${R_LIBS})
  if(HEADGATE_TESTS AND R_TESTS)
    add_executable(headgate_${name}_test ${R_TESTS})
    target_link_libraries(headgate_${name}_test PRIVATE headgate_${name} headgate_flags
      GTest::gtest GTest::gtest_main ${R_TEST_LIBS})
    target_compile_definitions(headgate_${name}_test PRIVATE
      HEADGATE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    add_test(NAME ${name} COMMAND headgate_${name}_test)
    set_tests_properties(${name} PROPERTIES LABELS unit)
  endif()
endfunction()

# headgate_program(<name> DEPS <rooms> LIBS <targets> SOURCES <files> [LABEL <ctest label>])
# A program outside the rooms: a golden test, an end-to-end test, a benchmark. With LABEL it is a test.
# It is left out where a room it needs is not built (HEADGATE_ROOMS), and a test where HEADGATE_TESTS is off.
function(headgate_program name)
  cmake_parse_arguments(R "" "LABEL" "DEPS;LIBS;SOURCES" ${ARGN})
  if(R_LABEL AND NOT HEADGATE_TESTS)
    return()
  endif()
  foreach(dep IN LISTS R_DEPS)
    if(NOT TARGET headgate_${dep})
      message(STATUS "${name} is left out: room ${dep} is not built")
      return()
    endif()
  endforeach()
  add_executable(${name} ${R_SOURCES})
  list(TRANSFORM R_DEPS PREPEND headgate_)
  target_link_libraries(${name} PRIVATE ${R_DEPS} headgate_flags ${R_LIBS})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR})
  target_compile_definitions(${name} PRIVATE HEADGATE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  if(R_LABEL)
    target_link_libraries(${name} PRIVATE GTest::gtest GTest::gtest_main)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES LABELS ${R_LABEL})
  endif()
endfunction()
