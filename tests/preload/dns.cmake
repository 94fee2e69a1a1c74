# Programs that speak DNS themselves: probes as in connect.cmake, with the same frame around them.
include(${CMAKE_CURRENT_LIST_DIR}/preload.cmake)
find_package(Threads REQUIRED)
set(dns_dir ${CMAKE_CURRENT_LIST_DIR}/dns)
set(rig_dir ${CMAKE_CURRENT_LIST_DIR}/rig)
add_executable(dns_probe ${dns_dir}/datagram.c ${dns_dir}/message.c ${dns_dir}/stream.c ${rig_dir}/probe.c
  ${rig_dir}/fortified.c)
set_target_properties(dns_probe PROPERTIES C_STANDARD 11 C_EXTENSIONS ON)
target_include_directories(dns_probe PRIVATE ${CMAKE_CURRENT_LIST_DIR})
target_compile_definitions(dns_probe PRIVATE _GNU_SOURCE)
target_compile_options(dns_probe PRIVATE -Wall -Wextra -Wshadow -Wconversion $<$<BOOL:${SOCKS64_WERROR}>:-Werror>
  -fno-sanitize=all -U_FORTIFY_SOURCE)
target_link_options(dns_probe PRIVATE -fno-sanitize=all)
target_link_libraries(dns_probe PRIVATE Threads::Threads resolv)

find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
foreach(group datagram stream)
  add_preload_test(NAME preload.dns.${group} LABELS dns TIMEOUT 300
    COMMAND ${Python3_EXECUTABLE} -B ${dns_dir}/test_${group}.py
    ENVIRONMENT "SOCKS64_TEST_PROBE=$<TARGET_FILE:dns_probe>")
endforeach()
