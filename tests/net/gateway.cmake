# The daemon as a child process, with scripted clients and destinations on loopback; and its pure parts.
find_package(GTest REQUIRED)
find_package(tomlplusplus REQUIRED)
include(GoogleTest)

add_executable(gateway_tests
  accept/client_limits_test.cpp
  accept/limits_test.cpp
  accept/user_limits_test.cpp
  account/account_test.cpp
  auth/auth_test.cpp
  auth/password_pool_test.cpp
  auth/users_test.cpp
  authorise/authorise_test.cpp
  authorise/judged_filter_test.cpp
  base/line_writer_test.cpp
  base/ticket_test.cpp
  base/token_bucket_test.cpp
  base/unix_socket_test.cpp
  bind/bind_fixture.cpp
  bind/bind_parts_test.cpp
  bind/bind_peer_test.cpp
  bind/bind_test.cpp
  config/auth_config_test.cpp
  config/config_keys_test.cpp
  config/config_test.cpp
  daemon/command_line_test.cpp
  daemon/life_cycle_test.cpp
  daemon/passwd_test.cpp
  daemon/scarce_memory.cpp
  daemon/survival_test.cpp
  datagram/udp_datagram_test.cpp
  datagram/udp_runs_test.cpp
  dial/dialling_test.cpp
  dial/ports_test.cpp
  handshake/framing_login_test.cpp
  handshake/framing_test.cpp
  handshake/reply_test.cpp
  handshake/socks4_test.cpp
  relay/relay_engine_test.cpp
  rig/datagrams.cpp
  rig/dns_server.cpp
  rig/own_network.cpp
  rig/process.cpp
  rig/sockets.cpp
  rules/disguise_test.cpp
  rules/open_relay_test.cpp
  rules/protection_test.cpp
  rules/rule_index_test.cpp
  rules/rules_test.cpp
  session/serve_look_up_test.cpp
  session/session_test.cpp
  udp/udp_association_test.cpp
  udp/udp_bursts_test.cpp
  udp/udp_names_test.cpp
  udp/udp_rules_test.cpp)
socks64_build_fast_when_sanitized(gateway_tests "<gtest/gtest.h>;<fmt/format.h>;${PROJECT_SOURCE_DIR}/gatewayd/session/session.hpp")
target_link_options(gateway_tests PRIVATE -Wl,--wrap=aligned_alloc)  # scarce_memory.hpp
# As for the sources of the daemon that have coroutines.
set_source_files_properties(daemon/survival_test.cpp PROPERTIES
  COMPILE_OPTIONS $<$<CXX_COMPILER_ID:GNU>:-Wno-mismatched-new-delete>)
set_source_files_properties(config/config_keys_test.cpp PROPERTIES
  COMPILE_DEFINITIONS GATEWAYD_PAGE="${PROJECT_SOURCE_DIR}/docs/man/gatewayd.toml.5")
target_include_directories(gateway_tests PRIVATE ${CMAKE_CURRENT_LIST_DIR})
target_compile_definitions(gateway_tests PRIVATE
  GATEWAYD_BINARY="$<TARGET_FILE:gatewayd>" GATEWAYD_CONF="${PROJECT_SOURCE_DIR}/conf/gatewayd.toml"
  GATEWAYD_FAIL2BAN_FILTER="${PROJECT_SOURCE_DIR}/conf/fail2ban/filter.d/gatewayd.conf"
  GATEWAYD_VERSION="${PROJECT_VERSION}" GATEWAYD_DEFAULT_CONFIG="${CMAKE_INSTALL_FULL_SYSCONFDIR}/socks64/gatewayd.toml")
target_link_libraries(gateway_tests PRIVATE gateway_daemon tomlplusplus::tomlplusplus GTest::gtest_main socks64_warnings)
add_dependencies(gateway_tests gatewayd)
# Many clients at once. SOCKS64_TEST_HEAVY=1 in the environment: the whole numbers, a few minutes.
add_executable(hostile_tests
  daemon/back_pressure_test.cpp
  daemon/crowd.cpp
  daemon/hostile_test.cpp
  rig/process.cpp
  rig/sockets.cpp)
target_include_directories(hostile_tests PRIVATE ${CMAKE_CURRENT_LIST_DIR})
target_compile_definitions(hostile_tests PRIVATE GATEWAYD_BINARY="$<TARGET_FILE:gatewayd>")
target_link_libraries(hostile_tests PRIVATE gateway_daemon GTest::gtest_main socks64_warnings)
socks64_build_fast_when_sanitized(hostile_tests "<gtest/gtest.h>")
add_dependencies(hostile_tests gatewayd)
gtest_discover_tests(hostile_tests PROPERTIES TIMEOUT 300 DISCOVERY_TIMEOUT 60 RUN_SERIAL TRUE)
gtest_discover_tests(gateway_tests PROPERTIES TIMEOUT 120 DISCOVERY_TIMEOUT 60)
