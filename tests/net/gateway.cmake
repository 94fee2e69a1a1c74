# The daemon as a child process, with scripted clients and destinations on loopback; and its pure parts.
find_package(GTest REQUIRED)
find_package(tomlplusplus REQUIRED)
include(GoogleTest)

add_executable(gateway_tests
  dial/dns_server.cpp
  gateway/account_test.cpp
  gateway/auth_config_test.cpp
  gateway/auth_test.cpp
  gateway/authorise_test.cpp
  gateway/bind_fixture.cpp
  gateway/bind_parts_test.cpp
  gateway/bind_peer_test.cpp
  gateway/bind_test.cpp
  gateway/client_limits_test.cpp
  gateway/command_line_test.cpp
  gateway/config_keys_test.cpp
  gateway/config_test.cpp
  gateway/datagrams.cpp
  gateway/dialling_test.cpp
  gateway/framing_login_test.cpp
  gateway/framing_test.cpp
  gateway/judged_filter_test.cpp
  gateway/life_cycle_test.cpp
  gateway/limits_test.cpp
  gateway/line_writer_test.cpp
  gateway/look_up_test.cpp
  gateway/open_relay_test.cpp
  gateway/own_network.cpp
  gateway/passwd_test.cpp
  gateway/password_pool_test.cpp
  gateway/ports_test.cpp
  gateway/process.cpp
  gateway/protection_test.cpp
  gateway/relay_engine_test.cpp
  gateway/reply_test.cpp
  gateway/rule_index_test.cpp
  gateway/rules_test.cpp
  gateway/scarce_memory.cpp
  gateway/session_test.cpp
  gateway/sockets.cpp
  gateway/socks4_test.cpp
  gateway/survival_test.cpp
  gateway/ticket_test.cpp
  gateway/token_bucket_test.cpp
  gateway/udp_bursts_test.cpp
  gateway/udp_datagram_test.cpp
  gateway/udp_names_test.cpp
  gateway/udp_rules_test.cpp
  gateway/udp_runs_test.cpp
  gateway/udp_test.cpp
  gateway/unix_test.cpp
  gateway/user_limits_test.cpp
  gateway/users_test.cpp)
socks64_build_fast_when_sanitized(gateway_tests "<gtest/gtest.h>;<fmt/format.h>;${PROJECT_SOURCE_DIR}/gatewayd/session/session.hpp")
target_link_options(gateway_tests PRIVATE -Wl,--wrap=aligned_alloc)  # scarce_memory.hpp
# As for the sources of the daemon that have coroutines.
set_source_files_properties(gateway/survival_test.cpp PROPERTIES
  COMPILE_OPTIONS $<$<CXX_COMPILER_ID:GNU>:-Wno-mismatched-new-delete>)
set_source_files_properties(gateway/config_keys_test.cpp PROPERTIES
  COMPILE_DEFINITIONS GATEWAYD_PAGE="${PROJECT_SOURCE_DIR}/docs/man/gatewayd.toml.5")
target_include_directories(gateway_tests PRIVATE ${CMAKE_CURRENT_LIST_DIR}/gateway)
target_compile_definitions(gateway_tests PRIVATE
  GATEWAYD_BINARY="$<TARGET_FILE:gatewayd>" GATEWAYD_CONF="${PROJECT_SOURCE_DIR}/conf/gatewayd.toml"
  GATEWAYD_FAIL2BAN_FILTER="${PROJECT_SOURCE_DIR}/conf/fail2ban/filter.d/gatewayd.conf"
  GATEWAYD_VERSION="${PROJECT_VERSION}" GATEWAYD_DEFAULT_CONFIG="${CMAKE_INSTALL_FULL_SYSCONFDIR}/socks64/gatewayd.toml")
target_link_libraries(gateway_tests PRIVATE gateway_daemon tomlplusplus::tomlplusplus GTest::gtest_main socks64_warnings)
add_dependencies(gateway_tests gatewayd)
# Many clients at once. SOCKS64_TEST_HEAVY=1 in the environment: the whole numbers, a few minutes.
add_executable(hostile_tests
  gateway/back_pressure_test.cpp
  gateway/crowd.cpp
  gateway/hostile_test.cpp
  gateway/process.cpp
  gateway/sockets.cpp)
target_include_directories(hostile_tests PRIVATE ${CMAKE_CURRENT_LIST_DIR}/gateway)
target_compile_definitions(hostile_tests PRIVATE GATEWAYD_BINARY="$<TARGET_FILE:gatewayd>")
target_link_libraries(hostile_tests PRIVATE gateway_daemon GTest::gtest_main socks64_warnings)
socks64_build_fast_when_sanitized(hostile_tests "<gtest/gtest.h>")
add_dependencies(hostile_tests gatewayd)
gtest_discover_tests(hostile_tests PROPERTIES TIMEOUT 300 DISCOVERY_TIMEOUT 60 RUN_SERIAL TRUE)
gtest_discover_tests(gateway_tests PROPERTIES TIMEOUT 120 DISCOVERY_TIMEOUT 60)
