# The names side: what answers getaddrinfo and its kin.
list(APPEND SHIM_SOURCES
  address_info.cpp dns_answer.cpp dns_route.cpp hook_hostent.cpp hook_names.cpp hook_networks.cpp hook_resolver.cpp host_entry.cpp
  local_file.cpp local_names.cpp name_query.cpp name_verification.cpp services.cpp)
