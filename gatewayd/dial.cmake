# Names to addresses to a connected socket.
add_library(gateway_dial STATIC
  answer_cache.cpp candidates.cpp cares_channel.cpp dial.cpp dns_channels.cpp dns_message.cpp dns_name.cpp
  family_memory.cpp hosts_file.cpp look_up.cpp order.cpp race.cpp resolve.cpp route.cpp system_names.cpp)
target_link_libraries(gateway_dial PUBLIC gateway_base PRIVATE PkgConfig::CARES socks64_warnings)
socks64_build_fast_when_sanitized(gateway_dial "${CMAKE_CURRENT_LIST_DIR}/resolve.hpp")
