# Configuration, listeners, sessions, and the daemon itself.
add_library(gateway_core STATIC
  account.cpp
  auth_policy.cpp
  auth_result.cpp
  authenticate.cpp
  authorise.cpp
  bind.cpp
  client.cpp
  client_limits.cpp
  config.cpp
  config_reader.cpp
  config_rules.cpp
  deadline.cpp
  disguise.cpp
  escape.cpp
  exchange.cpp
  expected_peer.cpp
  explain_rule.cpp
  farewell.cpp
  gateway.cpp
  handshake.cpp
  limits.cpp
  line_writer.cpp
  listen_address.cpp
  listener.cpp
  log.cpp
  open_relay.cpp
  own_end.cpp
  password_pool.cpp
  peer_wait.cpp
  protection.cpp
  refusal_hints.cpp
  reply.cpp
  rule_index.cpp
  rule_lists.cpp
  rule_options.cpp
  rule_sets.cpp
  rule_table.cpp
  rules.cpp
  serve_bind.cpp
  serve_connect.cpp
  serve_look_up.cpp
  serve_udp.cpp
  session.cpp
  siphash.cpp
  udp_association.cpp
  udp_batch.cpp
  udp_counts.cpp
  udp_datagram.cpp
  udp_names.cpp
  udp_peers.cpp
  udp_runs.cpp
  udp_socket.cpp
  unix_socket.cpp
  user_limits.cpp
  users.cpp
  users_file.cpp
  worker.cpp)
target_include_directories(gateway_core PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(gateway_core
  PUBLIC gateway_base gateway_dial gateway_relay fmt::fmt
  PRIVATE spdlog::spdlog tomlplusplus::tomlplusplus PkgConfig::CRYPT socks64_warnings)
socks64_build_fast_when_sanitized(gateway_core "<fmt/format.h>;${CMAKE_CURRENT_SOURCE_DIR}/session.hpp")
# At -O1 GCC 12 inlines one half of Asio's operator new/delete pair for coroutine frames, and then finds them unlike.
target_compile_options(gateway_core PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-mismatched-new-delete>)

add_executable(gatewayd ask_password.cpp main.cpp passwd.cpp)
target_compile_definitions(gatewayd PRIVATE
  SOCKS64_VERSION="${PROJECT_VERSION}" SOCKS64_SYSCONFDIR="${CMAKE_INSTALL_FULL_SYSCONFDIR}")
target_link_libraries(gatewayd PRIVATE gateway_core CLI11::CLI11 PkgConfig::CRYPT socks64_warnings)

install(TARGETS gatewayd RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR})
# A configuration that is there stays: it is somebody's. The commented one lies in share, too, to compare with.
install(FILES ${PROJECT_SOURCE_DIR}/conf/gatewayd.toml DESTINATION ${CMAKE_INSTALL_DATADIR}/socks64)
install(CODE "
  if(IS_ABSOLUTE \"${CMAKE_INSTALL_SYSCONFDIR}\")
    set(folder \"${CMAKE_INSTALL_SYSCONFDIR}/socks64\")
  else()
    set(folder \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_SYSCONFDIR}/socks64\")
  endif()
  if(EXISTS \"\$ENV{DESTDIR}\${folder}/gatewayd.toml\")
    message(STATUS \"Kept: \$ENV{DESTDIR}\${folder}/gatewayd.toml\")
  else()
    file(INSTALL \"${PROJECT_SOURCE_DIR}/conf/gatewayd.toml\" DESTINATION \"\${folder}\")
  endif()")
configure_file(${PROJECT_SOURCE_DIR}/conf/systemd/gatewayd.service.in
               ${CMAKE_CURRENT_BINARY_DIR}/gatewayd.service @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/gatewayd.service DESTINATION lib/systemd/system)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/conf/fail2ban DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(completions ${PROJECT_SOURCE_DIR}/conf/completions)
install(FILES ${completions}/gatewayd.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME gatewayd)
install(FILES ${completions}/_gatewayd DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${completions}/gatewayd.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(FILES ${PROJECT_SOURCE_DIR}/docs/man/gatewayd.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES ${PROJECT_SOURCE_DIR}/docs/man/gatewayd.toml.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
