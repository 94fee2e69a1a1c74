# The same groups of probes once more, where program and library are 32-bit.
if(NOT TARGET socks64_shim32)
  if(SOCKS64_SANITIZE STREQUAL "" AND NOT SOCKS64_BUILD_32BIT STREQUAL "OFF")
    # Loud: listed by ctest as skipped, with the reason in its log.
    add_test(NAME preload.class32
      COMMAND ${CMAKE_COMMAND} -E echo "SKIPPED, NOTHING WAS TESTED: no 32-bit tool chain (Debian: g++-multilib)")
    set_tests_properties(preload.class32 PROPERTIES SKIP_REGULAR_EXPRESSION "NOTHING WAS TESTED" LABELS preload)
  endif()
  return()
endif()

set(dir ${CMAKE_CURRENT_LIST_DIR})
add_executable(connect_probe32 ${probe_sources})
add_library(connect_early32 SHARED ${dir}/host/early_library.c)
target_compile_definitions(connect_early32 PRIVATE _GNU_SOURCE)
add_executable(probe_names32 ${dir}/names/probe_names.c)
# Once with 32-bit times and once with 64-bit ones, which are other calls of libc.
add_executable(connect_probe32_time64 ${probe_sources})
target_compile_definitions(connect_probe32 PRIVATE _GNU_SOURCE)
target_compile_definitions(connect_probe32_time64 PRIVATE _GNU_SOURCE _FILE_OFFSET_BITS=64 _TIME_BITS=64)
foreach(target connect_probe32 connect_early32 probe_names32 connect_probe32_time64)
  set_target_properties(${target} PROPERTIES C_STANDARD 11 C_EXTENSIONS ON)
  target_include_directories(${target} PRIVATE ${dir})
  target_compile_options(${target} PRIVATE -m32 -Wall -Wextra -Wno-sign-compare $<$<BOOL:${SOCKS64_WERROR}>:-Werror> -U_FORTIFY_SOURCE)
  target_link_options(${target} PRIVATE -m32)
  target_link_libraries(${target} PRIVATE Threads::Threads resolv ${CMAKE_DL_LIBS})
endforeach()

# The compiler makes 32-bit programs; whether the kernel runs them is asked once, and every test that needs it is told.
add_executable(class32_runs ${dir}/class32/runs.c)
target_compile_options(class32_runs PRIVATE -m32)
target_link_options(class32_runs PRIVATE -m32)
set(class32_answer ${CMAKE_CURRENT_BINARY_DIR}/class32_runs.answer)
add_preload_test(NAME preload.class32.runs LABELS class32
  COMMAND ${Python3_EXECUTABLE} -B ${dir}/class32/runs.py ask $<TARGET_FILE:class32_runs> ${class32_answer})
set_tests_properties(preload.class32.runs PROPERTIES FIXTURES_SETUP class32)
add_test(NAME preload.class32.runs.selftest COMMAND ${Python3_EXECUTABLE} -B ${dir}/class32/test_runs.py)
set_tests_properties(preload.class32.runs.selftest PROPERTIES LABELS "preload;class32" TIMEOUT 120)

# add_class32_test(NAME name COMMAND command... ...): as add_preload_test, and skipped where no 32-bit program runs.
function(add_class32_test)
  cmake_parse_arguments(PARSE_ARGV 0 class32 "" "NAME" "COMMAND")
  add_preload_test(NAME ${class32_NAME} ${class32_UNPARSED_ARGUMENTS}
    COMMAND ${Python3_EXECUTABLE} -B ${PROJECT_SOURCE_DIR}/tests/preload/class32/runs.py tell ${class32_answer} ${class32_COMMAND})
  set_tests_properties(${class32_NAME} PROPERTIES FIXTURES_REQUIRED class32)
endfunction()

set(narrow "SOCKS64_TEST_PRELOAD=$<TARGET_FILE:socks64_shim32>" "SOCKS64_TEST_LIBRARY=$<TARGET_FILE:socks64_shim32>"
  "SOCKS64_TEST_CLASS=32" "SOCKS64_TEST_EARLY_LIBRARY=$<TARGET_FILE:connect_early32>"
  "SOCKS64_TEST_SOURCE=${PROJECT_SOURCE_DIR}/shim")
foreach(group blocking progress readiness_scan readiness_epoll failures same_descriptor fakes introspection pending_io hostile regressions
        library)
  add_class32_test(NAME preload.class32.${group} LABELS class32 TIMEOUT 300
    ENVIRONMENT ${narrow} "SOCKS64_TEST_PROBE=$<TARGET_FILE:connect_probe32>"
    COMMAND ${Python3_EXECUTABLE} -B ${connect_group_${group}})
endforeach()
foreach(group blocking progress readiness_scan readiness_epoll failures pending_io introspection)
  add_class32_test(NAME preload.class32.time64.${group} LABELS class32 TIMEOUT 300
    ENVIRONMENT ${narrow} "SOCKS64_TEST_PROBE=$<TARGET_FILE:connect_probe32_time64>"
    COMMAND ${Python3_EXECUTABLE} -B ${connect_group_${group}})
endforeach()
foreach(group delegation families transports services invalid numeric literals local reverse hostent buffers fork spelling freeing
        errno)
  add_class32_test(NAME preload.class32.names.${group} LABELS class32 TIMEOUT 180
    COMMAND ${Python3_EXECUTABLE} ${dir}/names/lab.py $<TARGET_FILE:probe_names32> ${group}
    ENVIRONMENT ${narrow})
endforeach()
