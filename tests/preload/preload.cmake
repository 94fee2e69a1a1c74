# add_preload_test(NAME name COMMAND command... [ENVIRONMENT VAR=value...] [LABELS label...] [TIMEOUT seconds]
#                  [RUN_SERIAL])
#
# A test that puts libsocks64.so under other programs. The runner itself is not preloaded: it finds in its environment
#
#   SOCKS64_TEST_PRELOAD   what to put into LD_PRELOAD of the program under test
#   SOCKS64_TEST_LIBRARY   libsocks64.so alone
#   SOCKS64_TEST_SOCKSIFY  the wrapper command
#   PYTHONPATH             tests/preload/rig: what the runners share
#   SOCKS64_TEST_SANITIZE  empty, address or thread: how all of it was built
#
# and sets LD_PRELOAD for the probe alone, as in `execve(probe, ..., LD_PRELOAD=$SOCKS64_TEST_PRELOAD)`. ASan's run-time
# library has to come before everything else in a program that was not linked with it, hence the list.
# Exit status 77 is a skip; the runner says why.
include_guard(GLOBAL)

set(SOCKS64_PRELOAD_RUNTIME "")
set(SOCKS64_PRELOAD_SANITIZER_ENVIRONMENT "")
if(SOCKS64_SANITIZE STREQUAL "address")
  set(runtime libasan.so)
  # Foreign programs leak as they please; a report of ours must fail the program under test.
  list(APPEND SOCKS64_PRELOAD_SANITIZER_ENVIRONMENT
    "ASAN_OPTIONS=detect_leaks=0:abort_on_error=0:exitcode=99" "UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1")
elseif(SOCKS64_SANITIZE STREQUAL "thread")
  set(runtime libtsan.so)
  list(APPEND SOCKS64_PRELOAD_SANITIZER_ENVIRONMENT
    "TSAN_OPTIONS=halt_on_error=1:exitcode=99:die_after_fork=0:report_signal_unsafe=0:suppressions=${CMAKE_CURRENT_LIST_DIR}/tsan.supp")
endif()
if(DEFINED runtime)
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=${runtime}
                  OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT IS_ABSOLUTE "${found}")
    message(FATAL_ERROR "${CMAKE_CXX_COMPILER} has no ${runtime}: the preload tests cannot run in this build")
  endif()
  # The compiler's directory holds a symbolic link or a linker script; the loader wants the library.
  file(REAL_PATH "${found}" SOCKS64_PRELOAD_RUNTIME)
endif()

function(add_preload_test)
  cmake_parse_arguments(PARSE_ARGV 0 test "RUN_SERIAL" "NAME;TIMEOUT" "COMMAND;ENVIRONMENT;LABELS")
  if(test_UNPARSED_ARGUMENTS OR NOT test_NAME OR NOT test_COMMAND)
    message(FATAL_ERROR "add_preload_test: NAME and COMMAND are needed; not understood: '${test_UNPARSED_ARGUMENTS}'")
  endif()
  if(NOT test_TIMEOUT)
    set(test_TIMEOUT 120)
  endif()
  add_test(NAME ${test_NAME} COMMAND ${test_COMMAND})

  set(preload $<TARGET_FILE:socks64_shim>)
  if(SOCKS64_SANITIZE STREQUAL "thread")
    # TSan sees no atomic operations below its interceptors of blocking calls: there our locks would not exist for it.
    # Behind the shim it sees them all.
    set(preload "${preload}:${SOCKS64_PRELOAD_RUNTIME}")
  elseif(SOCKS64_PRELOAD_RUNTIME)
    set(preload "${SOCKS64_PRELOAD_RUNTIME}:${preload}")
  endif()
  set_tests_properties(${test_NAME} PROPERTIES
    TIMEOUT ${test_TIMEOUT} SKIP_RETURN_CODE 77 LABELS "preload;${test_LABELS}" RUN_SERIAL ${test_RUN_SERIAL})
  set_property(TEST ${test_NAME} APPEND PROPERTY ENVIRONMENT
    "PYTHONPATH=${CMAKE_CURRENT_FUNCTION_LIST_DIR}/rig"
    "SOCKS64_TEST_PRELOAD=${preload}"
    "SOCKS64_TEST_LIBRARY=$<TARGET_FILE:socks64_shim>"
    "SOCKS64_TEST_SOCKSIFY=$<TARGET_FILE:socksify>"
    "SOCKS64_TEST_SANITIZE=${SOCKS64_SANITIZE}"
    ${SOCKS64_PRELOAD_SANITIZER_ENVIRONMENT} ${test_ENVIRONMENT})
endfunction()
