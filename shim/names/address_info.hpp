// Lists of addrinfo, made and freed by us.
#ifndef SOCKS64_SHIM_ADDRESS_INFO_HPP
#define SOCKS64_SHIM_ADDRESS_INFO_HPP

#include <array>
#include <cstddef>
#include <netdb.h>
#include <span>
#include <string_view>

#include "socks64/address.hpp"

namespace socks64::shim {

/// One line of what getaddrinfo offers for each address.
struct Transport {
  int socktype;
  int protocol;
  Port port;
};

struct Transports {
  std::array<Transport, 3> list{};
  std::size_t count = 0;
};

/// The transports that fit `hints`, with the port of the service in each. 0 or an EAI_ code:
/// EAI_SERVICE, EAI_SOCKTYPE, EAI_NONAME (a named service with AI_NUMERICSERV).
[[nodiscard]] int find_transports(const char* service, const addrinfo& hints,
                                  Transports& out) noexcept;

/// Every address with every transport. `canonical` goes into the first node when AI_CANONNAME asks
/// for it. EAI_MEMORY when malloc fails.
[[nodiscard]] int build_address_info(std::span<const IpAddress> addresses,
                                     const Transports& transports, std::string_view canonical,
                                     int flags, addrinfo** result) noexcept;

/// Frees the leading nodes of the list that are ours and returns what is left: a list of libc's.
[[nodiscard]] addrinfo* free_our_address_info(addrinfo* list) noexcept;

}  // namespace socks64::shim

#endif
