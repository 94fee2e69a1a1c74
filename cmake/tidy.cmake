# The target `tidy`, and the quality checks that ctest runs where their tools exist.
add_custom_target(tidy
  COMMAND ${PROJECT_SOURCE_DIR}/tools/tidy ${CMAKE_BINARY_DIR}
  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
  COMMENT "clang-tidy over the files that do not reach Asio"
  USES_TERMINAL VERBATIM)

if(SOCKS64_BUILD_TESTS)
  # Exit status 77 is the scripts' "tool missing": ctest lists such a test as skipped, never as passed.
  add_test(NAME format.check COMMAND ${PROJECT_SOURCE_DIR}/tools/format --check)
  set_tests_properties(format.check PROPERTIES LABELS quality SKIP_RETURN_CODE 77)
  find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
  add_test(NAME braces.check COMMAND ${PROJECT_SOURCE_DIR}/tools/braces --check)
  add_test(NAME braces.cases COMMAND ${Python3_EXECUTABLE} -B ${PROJECT_SOURCE_DIR}/tests/tools/test_braces.py)
  add_test(NAME layers.check COMMAND ${PROJECT_SOURCE_DIR}/tools/layers)
  add_test(NAME layers.cases COMMAND ${Python3_EXECUTABLE} -B ${PROJECT_SOURCE_DIR}/tests/tools/test_layers.py)
  # Fails when the table of docs/testing.md names what does not exist.
  add_test(NAME docs.tests_of COMMAND ${PROJECT_SOURCE_DIR}/tools/tests-of --untested)
  set_tests_properties(braces.check braces.cases layers.check layers.cases docs.tests_of PROPERTIES LABELS quality)
  find_program(CLANG_TIDY clang-tidy)
  if(CLANG_TIDY)
    # Every pure file; the static analyzer looks at the library alone (tools/tidy --analyze: at all). One process for each
    # processor; ctest gives it that many.
    cmake_host_system_information(RESULT processors QUERY NUMBER_OF_LOGICAL_CORES)
    add_test(NAME tidy.check COMMAND ${PROJECT_SOURCE_DIR}/tools/tidy ${CMAKE_BINARY_DIR})
    set_tests_properties(tidy.check PROPERTIES LABELS quality SKIP_RETURN_CODE 77 TIMEOUT 1800 PROCESSORS ${processors})
  else()
    message(STATUS "clang-tidy was not found: the test tidy.check is left out")
  endif()
endif()
