# The relay against real TCP peers on loopback, its decisions without any, and its bench.
find_package(GTest REQUIRED)
include(GoogleTest)

foreach(test loop/readiness_test relay/relay_flow_test relay/relay_test relay/relay_end_test relay/relay_cost_test
             relay/relay_bandwidth_test relay/relay_kernel_test)
  get_filename_component(name ${test} NAME)
  add_executable(${name} ${CMAKE_CURRENT_LIST_DIR}/${test}.cpp)
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_LIST_DIR})
  target_link_libraries(${name} PRIVATE gateway_relay GTest::gtest_main socks64_warnings)
  gtest_discover_tests(${name} PROPERTIES TIMEOUT 180 DISCOVERY_TIMEOUT 60)
endforeach()
target_sources(relay_cost_test PRIVATE ${CMAKE_CURRENT_LIST_DIR}/relay/allocation_count.cpp)

# Figures, never run by ctest.
add_executable(relay_bench EXCLUDE_FROM_ALL ${CMAKE_CURRENT_LIST_DIR}/../bench/relay_bench.cpp)
target_include_directories(relay_bench PRIVATE ${CMAKE_CURRENT_LIST_DIR})
target_link_libraries(relay_bench PRIVATE gateway_relay socks64_warnings)

# What tries to break relays at random, for as long as one likes; and what small messages cost.
foreach(name soak messages)
  add_executable(relay_${name} ${CMAKE_CURRENT_LIST_DIR}/../bench/sockmap/${name}.cpp)
  target_include_directories(relay_${name} PRIVATE ${CMAKE_CURRENT_LIST_DIR})
  target_link_libraries(relay_${name} PRIVATE gateway_relay socks64_warnings)
endforeach()
foreach(way adaptive kernel)
  add_test(NAME relay.soak.${way} COMMAND relay_soak --way ${way} --small --seconds 3)
  set_tests_properties(relay.soak.${way} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 120)
endforeach()
