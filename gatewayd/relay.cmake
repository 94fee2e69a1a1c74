# Octets both ways.
add_library(gateway_relay STATIC
  ${CMAKE_CURRENT_LIST_DIR}/bandwidth.cpp
  ${CMAKE_CURRENT_LIST_DIR}/pipe_pool.cpp
  ${CMAKE_CURRENT_LIST_DIR}/relay.cpp
  ${CMAKE_CURRENT_LIST_DIR}/relay_clock.cpp
  ${CMAKE_CURRENT_LIST_DIR}/relay_flow.cpp
  ${CMAKE_CURRENT_LIST_DIR}/relay_pool.cpp)
target_link_libraries(gateway_relay PUBLIC gateway_base PRIVATE socks64_warnings)
