# The connecting side of libsocks64.so under hostile probes: plain C programs, a scripted SOCKS5 gateway, one ctest entry a
# group of behaviours. The probes are built without sanitizers: they stand for the programs of other people.
include(${CMAKE_CURRENT_LIST_DIR}/preload.cmake)
set(preload_dir ${CMAKE_CURRENT_LIST_DIR})
set(probe_sources
  descriptors/epoll_shared.c
  descriptors/introspection.c
  descriptors/pending_io.c
  descriptors/readiness_epoll.c
  descriptors/readiness_scan.c
  descriptors/same_answers.c
  descriptors/same_descriptor.c
  gateway/any_gateway.c
  gateway/failures.c
  gateway/several_gateways.c
  hooks/asynchronous.c
  hooks/blocking.c
  hooks/io_uring.c
  hooks/loader.c
  hooks/other_sockets.c
  hooks/progress.c
  hooks/raw_waits.c
  hooks/regressions.c
  hooks/regressions_io.c
  hooks/stream_kinds.c
  host/hostile_host.c
  host/hostile_process.c
  host/hostile_signals.c
  host/hostile_threads.c
  process/exec.c
  rig/fortified.c
  rig/probe.c
  tables/fakes.c
  tables/table.c)
list(TRANSFORM probe_sources PREPEND ${preload_dir}/)
add_executable(connect_probe ${probe_sources})
add_library(connect_deep SHARED ${preload_dir}/hooks/deep_library.c)
add_library(connect_early SHARED ${preload_dir}/host/early_library.c)
add_library(connect_malloc SHARED ${preload_dir}/host/malloc_library.c)
find_package(Threads REQUIRED)
target_link_libraries(connect_probe PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
add_executable(raw_loop ${preload_dir}/hooks/raw_loop.c)
foreach(target connect_probe connect_deep connect_early connect_malloc raw_loop)
  set_target_properties(${target} PROPERTIES C_STANDARD 11 C_EXTENSIONS ON)
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
  target_include_directories(${target} PRIVATE ${preload_dir})
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wconversion $<$<BOOL:${SOCKS64_WERROR}>:-Werror>
    -fno-sanitize=all -U_FORTIFY_SOURCE)
  target_link_options(${target} PRIVATE -fno-sanitize=all)
endforeach()
# Last on the command line: this file alone is fortified.
set_source_files_properties(${preload_dir}/rig/fortified.c PROPERTIES COMPILE_OPTIONS "-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2;-O2")

find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
# ROOM/GROUP is tests/preload/ROOM/test_GROUP.py. connect_group_GROUP says where the others find it, musl.cmake and class32.cmake.
set(connect_groups
  descriptors/epoll_shared
  descriptors/introspection
  descriptors/pending_io
  descriptors/readiness_epoll
  descriptors/readiness_scan
  descriptors/same_descriptor
  gateway/any_gateway
  gateway/failures
  gateway/round_trips
  gateway/several_gateways
  hooks/asynchronous
  hooks/blocking
  hooks/io_uring
  hooks/loader
  hooks/other_sockets
  hooks/progress
  hooks/raw_waits
  hooks/regressions
  hooks/stream_kinds
  host/host
  host/hostile
  host/library
  host/signals
  process/exec
  tables/fakes
  tables/table)
foreach(group IN LISTS connect_groups)
  string(REGEX MATCH "^(.*)/(.*)$" group ${group})
  set(connect_group_${CMAKE_MATCH_2} ${preload_dir}/${CMAKE_MATCH_1}/test_${CMAKE_MATCH_2}.py)
endforeach()
function(add_connect_test name group)
  add_preload_test(NAME preload.connect.${name} LABELS connect TIMEOUT 300
    COMMAND ${Python3_EXECUTABLE} -B ${connect_group_${group}}
    ENVIRONMENT "SOCKS64_TEST_PROBE=$<TARGET_FILE:connect_probe>"
      "SOCKS64_TEST_DEEP_LIBRARY=$<TARGET_FILE:connect_deep>"
      "SOCKS64_TEST_EARLY_LIBRARY=$<TARGET_FILE:connect_early>"
      "SOCKS64_TEST_MALLOC_LIBRARY=$<TARGET_FILE:connect_malloc>"
      "SOCKS64_TEST_RAW_LOOP=$<TARGET_FILE:raw_loop>"
      "SOCKS64_TEST_SOURCE=${PROJECT_SOURCE_DIR}/shim" ${ARGN})
endfunction()
foreach(group IN LISTS connect_groups)
  string(REGEX REPLACE "^.*/" "" group ${group})
  add_connect_test(${group} ${group})
endforeach()
# The same once more, where no socket of the program's can reach the gateway, or none of IPv4: see socket_swap.cpp.
foreach(group blocking readiness_scan readiness_epoll failures same_descriptor introspection pending_io hostile regressions)
  add_connect_test(unix.${group} ${group} "SOCKS64_TEST_GATEWAY_AT=unix")
endforeach()
foreach(group readiness_epoll failures same_descriptor introspection hostile)
  add_connect_test(ipv6.${group} ${group} "SOCKS64_TEST_GATEWAY_AT=ipv6")
endforeach()
# They measure time: beside others they would measure those.
set_tests_properties(preload.connect.asynchronous PROPERTIES RUN_SERIAL ON)

# What the shim adds to calls that are not its business, counted.
add_executable(shim_load ${CMAKE_CURRENT_LIST_DIR}/../bench/shim/shim_load.c)
add_library(count_allocations SHARED ${preload_dir}/host/count_allocations.c)
foreach(target shim_load count_allocations)
  set_target_properties(${target} PROPERTIES C_STANDARD 11 C_EXTENSIONS ON)
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
  target_compile_options(${target} PRIVATE -Wall -Wextra $<$<BOOL:${SOCKS64_WERROR}>:-Werror> -fno-sanitize=all)
  target_link_options(${target} PRIVATE -fno-sanitize=all)
endforeach()
add_preload_test(NAME preload.connect.cost LABELS connect COMMAND ${Python3_EXECUTABLE} -B ${preload_dir}/host/test_cost.py
  ENVIRONMENT "SOCKS64_TEST_LOAD=$<TARGET_FILE:shim_load>" "SOCKS64_TEST_ALLOCATIONS=$<TARGET_FILE:count_allocations>")
