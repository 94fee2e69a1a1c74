# The same groups of probes once more, where program and library are linked with musl. What a probe takes of glibc stands in
# musl_probe.h, said by other means.
if(NOT SOCKS64_MUSL)
  if(SOCKS64_SANITIZE STREQUAL "")
    # Loud: listed by ctest as skipped, with the reason in its log.
    add_test(NAME preload.musl COMMAND ${CMAKE_COMMAND} -E echo "SKIPPED, NOTHING WAS TESTED: no musl-gcc (Debian: musl-tools)")
    set_tests_properties(preload.musl PROPERTIES SKIP_REGULAR_EXPRESSION "NOTHING WAS TESTED" LABELS preload)
  endif()
  return()
endif()

set(dir ${CMAKE_CURRENT_LIST_DIR})
add_executable(connect_probe_musl ${probe_sources})
add_library(connect_early_musl SHARED ${dir}/host/early_library.c)
add_executable(probe_names_musl ${dir}/names/probe_names.c)
foreach(target connect_probe_musl connect_early_musl probe_names_musl)
  set_target_properties(${target} PROPERTIES C_STANDARD 11 C_EXTENSIONS ON)
  target_include_directories(${target} PRIVATE ${dir})
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wno-sign-compare -U_FORTIFY_SOURCE
    "SHELL:-include ${dir}/musl_probe.h")
  target_link_libraries(${target} PRIVATE socks64_musl_c)
endforeach()

set(musl_environment "SOCKS64_TEST_PRELOAD=$<TARGET_FILE:socks64_shim_musl>"
  "SOCKS64_TEST_LIBRARY=$<TARGET_FILE:socks64_shim_musl>" "SOCKS64_TEST_LIBC=musl"
  "SOCKS64_TEST_PROBE=$<TARGET_FILE:connect_probe_musl>" "SOCKS64_TEST_EARLY_LIBRARY=$<TARGET_FILE:connect_early_musl>"
  "SOCKS64_TEST_SOURCE=${PROJECT_SOURCE_DIR}/shim")
foreach(group blocking progress readiness_scan readiness_epoll failures same_descriptor fakes introspection pending_io hostile regressions
        library)
  add_preload_test(NAME preload.musl.${group} LABELS musl TIMEOUT 300 ENVIRONMENT ${musl_environment}
    COMMAND ${Python3_EXECUTABLE} -B ${connect_group_${group}})
endforeach()
foreach(group delegation families transports services invalid numeric literals local reverse hostent buffers fork spelling freeing
        errno resolver resolver_errors)
  add_preload_test(NAME preload.musl.names.${group} LABELS musl TIMEOUT 180 ENVIRONMENT ${musl_environment}
    COMMAND ${Python3_EXECUTABLE} ${dir}/names/lab.py $<TARGET_FILE:probe_names_musl> ${group})
endforeach()
