# Octets both ways.
add_library(gateway_relay STATIC
  ${CMAKE_CURRENT_LIST_DIR}/bandwidth.cpp
  ${CMAKE_CURRENT_LIST_DIR}/pipe_pool.cpp
  ${CMAKE_CURRENT_LIST_DIR}/relay.cpp
  ${CMAKE_CURRENT_LIST_DIR}/relay_clock.cpp
  ${CMAKE_CURRENT_LIST_DIR}/relay_flow.cpp
  ${CMAKE_CURRENT_LIST_DIR}/relay_kernel.cpp
  ${CMAKE_CURRENT_LIST_DIR}/relay_life.cpp
  ${CMAKE_CURRENT_LIST_DIR}/relay_pool.cpp)

# The kernel relay needs BPF as of Linux 5.13 in the headers; no library, no BPF compiler.
set(SOCKS64_WITH_SOCKMAP AUTO CACHE STRING "Build relay.engine = \"sockmap\": ON, OFF, AUTO (where linux/bpf.h has it)")
include(CheckCXXSourceCompiles)
check_cxx_source_compiles("#include <linux/bpf.h>
int main() { return BPF_SK_SKB_VERDICT + BPF_CMPXCHG; }" SOCKS64_HAVE_SOCKMAP)
if(SOCKS64_WITH_SOCKMAP STREQUAL "ON" AND NOT SOCKS64_HAVE_SOCKMAP)
  message(FATAL_ERROR "SOCKS64_WITH_SOCKMAP is ON, but linux/bpf.h has no BPF_SK_SKB_VERDICT")
endif()
if(SOCKS64_WITH_SOCKMAP AND SOCKS64_HAVE_SOCKMAP)
  target_sources(gateway_relay PRIVATE
    ${CMAKE_CURRENT_LIST_DIR}/sockmap.cpp ${CMAKE_CURRENT_LIST_DIR}/sockmap_program.cpp)
else()
  target_sources(gateway_relay PRIVATE ${CMAKE_CURRENT_LIST_DIR}/sockmap_absent.cpp)
endif()
target_link_libraries(gateway_relay PUBLIC gateway_base PRIVATE socks64_warnings)
