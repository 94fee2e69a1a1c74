# The connecting side of libsocks64.so under hostile probes: plain C programs, a scripted SOCKS5 gateway, one ctest entry a
# group of behaviours. The probes are built without sanitizers: they stand for the programs of other people.
include(${CMAKE_CURRENT_LIST_DIR}/preload.cmake)
set(probe_dir ${CMAKE_CURRENT_LIST_DIR}/connect)
set(probe_sources
  any_gateway.c
  asynchronous.c
  blocking.c
  epoll_shared.c
  exec.c
  failures.c
  fakes.c
  fortified.c
  hostile_host.c
  hostile_process.c
  hostile_signals.c
  hostile_threads.c
  introspection.c
  other_sockets.c
  pending_io.c
  probe.c
  readiness_epoll.c
  readiness_scan.c
  regressions.c
  regressions_io.c
  same_answers.c
  same_descriptor.c
  several_gateways.c
  stream_kinds.c
  table.c)
list(TRANSFORM probe_sources PREPEND ${probe_dir}/)
add_executable(connect_probe ${probe_sources})
add_library(connect_early SHARED ${probe_dir}/early_library.c)
add_library(connect_malloc SHARED ${probe_dir}/malloc_library.c)
find_package(Threads REQUIRED)
target_link_libraries(connect_probe PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
foreach(target connect_probe connect_early connect_malloc)
  set_target_properties(${target} PROPERTIES C_STANDARD 11 C_EXTENSIONS ON)
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wconversion $<$<BOOL:${SOCKS64_WERROR}>:-Werror>
    -fno-sanitize=all -U_FORTIFY_SOURCE)
  target_link_options(${target} PRIVATE -fno-sanitize=all)
endforeach()
# Last on the command line: this file alone is fortified.
set_source_files_properties(${probe_dir}/fortified.c PROPERTIES COMPILE_OPTIONS "-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2;-O2")

find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
function(add_connect_test name group)
  add_preload_test(NAME preload.connect.${name} LABELS connect TIMEOUT 300
    COMMAND ${Python3_EXECUTABLE} -B ${probe_dir}/test_${group}.py
    ENVIRONMENT "SOCKS64_TEST_PROBE=$<TARGET_FILE:connect_probe>"
      "SOCKS64_TEST_EARLY_LIBRARY=$<TARGET_FILE:connect_early>"
      "SOCKS64_TEST_MALLOC_LIBRARY=$<TARGET_FILE:connect_malloc>"
      "SOCKS64_TEST_SOURCE=${PROJECT_SOURCE_DIR}/shim" ${ARGN})
endfunction()
foreach(group
  any_gateway
  asynchronous
  blocking
  epoll_shared
  exec
  failures
  fakes
  host
  hostile
  introspection
  library
  other_sockets
  pending_io
  readiness_epoll
  readiness_scan
  regressions
  round_trips
  same_descriptor
  several_gateways
  signals
  stream_kinds
  table)
  add_connect_test(${group} ${group})
endforeach()
# The same once more, where no socket of the program's can reach the gateway, or none of IPv4: see socket_swap.cpp.
foreach(group blocking readiness_scan readiness_epoll failures same_descriptor introspection pending_io hostile regressions)
  add_connect_test(unix.${group} ${group} "SOCKS64_TEST_GATEWAY_AT=unix")
endforeach()
foreach(group readiness_epoll failures same_descriptor introspection hostile)
  add_connect_test(ipv6.${group} ${group} "SOCKS64_TEST_GATEWAY_AT=ipv6")
endforeach()
# It starts hundreds of programs; see test_exec.py.
set_tests_properties(preload.connect.exec PROPERTIES TIMEOUT 600)
# They measure time: beside others they would measure those.
set_tests_properties(preload.connect.asynchronous PROPERTIES RUN_SERIAL ON)

# What the shim adds to calls that are not its business, counted.
add_executable(shim_load ${CMAKE_CURRENT_LIST_DIR}/../bench/shim/shim_load.c)
add_library(count_allocations SHARED ${probe_dir}/count_allocations.c)
foreach(target shim_load count_allocations)
  set_target_properties(${target} PROPERTIES C_STANDARD 11 C_EXTENSIONS ON)
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
  target_compile_options(${target} PRIVATE -Wall -Wextra $<$<BOOL:${SOCKS64_WERROR}>:-Werror> -fno-sanitize=all)
  target_link_options(${target} PRIVATE -fno-sanitize=all)
endforeach()
add_preload_test(NAME preload.connect.cost LABELS connect COMMAND ${Python3_EXECUTABLE} -B ${probe_dir}/test_cost.py
  ENVIRONMENT "SOCKS64_TEST_LOAD=$<TARGET_FILE:shim_load>" "SOCKS64_TEST_ALLOCATIONS=$<TARGET_FILE:count_allocations>")
