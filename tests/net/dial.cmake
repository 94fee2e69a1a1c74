# Resolving and dialling, against a scripted DNS server and peers on loopback.
find_package(GTest REQUIRED)
include(GoogleTest)
add_executable(dial_tests
  dial/dial_choice_test.cpp
  dial/dial_load_test.cpp
  dial/dial_test.cpp
  dial/look_up_test.cpp
  dial/order_test.cpp
  dial/race_test.cpp
  dns/cares_translation_test.cpp
  dns/dns_message_test.cpp
  resolve/hostile_dns_test.cpp
  resolve/names_test.cpp
  resolve/query_window_test.cpp
  resolve/resolve_test.cpp
  resolve/system_names_test.cpp
  rig/dns_server.cpp)
target_include_directories(dial_tests PRIVATE ${CMAKE_CURRENT_LIST_DIR})
target_link_libraries(dial_tests PRIVATE gateway_dial GTest::gtest_main socks64_warnings)
socks64_build_fast_when_sanitized(dial_tests "<gtest/gtest.h>;${PROJECT_SOURCE_DIR}/gatewayd/dial/dial.hpp")
gtest_discover_tests(dial_tests PROPERTIES TIMEOUT 120 LABELS net)
