#include "socks64/sockaddr.hpp"

#include <cstddef>
#include <cstring>
#include <netinet/in.h>

namespace socks64 {
namespace {

/// The kernel takes an IPv6 address without sin6_scope_id (RFC 2133 had none), so we do.
constexpr std::size_t v6_size_without_scope = offsetof(sockaddr_in6, sin6_scope_id);

}  // namespace

socklen_t to_sockaddr(const Endpoint& endpoint, sockaddr_storage& out) noexcept {
  std::memset(&out, 0, sizeof out);
  const std::span<const std::uint8_t> octets = endpoint.address.bytes();
  if (endpoint.address.is_v4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    std::memcpy(&v4.sin_addr, octets.data(), sizeof v4.sin_addr);
    std::memcpy(&out, &v4, sizeof v4);
    return sizeof v4;
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(endpoint.port);
  std::memcpy(&v6.sin6_addr, octets.data(), sizeof v6.sin6_addr);
  v6.sin6_scope_id = endpoint.address.zone();
  std::memcpy(&out, &v6, sizeof v6);
  return sizeof v6;
}

Result<Endpoint> from_sockaddr(const sockaddr* address, socklen_t length) noexcept {
  sa_family_t family = AF_UNSPEC;
  constexpr std::size_t family_end = offsetof(sockaddr, sa_family) + sizeof family;
  if (address == nullptr || length < family_end) {
    return Errc::bad_address;
  }
  const auto* const octets = reinterpret_cast<const unsigned char*>(address);
  std::memcpy(&family, octets + offsetof(sockaddr, sa_family), sizeof family);

  if (family == AF_INET && length >= sizeof(sockaddr_in)) {
    sockaddr_in v4{};
    std::memcpy(&v4, octets, sizeof v4);
    return Endpoint{IpAddress::v4(ntohl(v4.sin_addr.s_addr)), ntohs(v4.sin_port)};
  }
  if (family == AF_INET6 && length >= v6_size_without_scope) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, octets, length < sizeof v6 ? v6_size_without_scope : sizeof v6);
    IpAddress::V6Bytes bytes{};
    std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
    return Endpoint{IpAddress::v6(bytes, v6.sin6_scope_id), ntohs(v6.sin6_port)};
  }
  return Errc::bad_address;
}

}  // namespace socks64
