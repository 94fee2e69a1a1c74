// Sockets over which a program speaks DNS with a resolver, answered in the process. See
// dns_link.cpp.
#ifndef SOCKS64_SHIM_DNS_LINK_HPP
#define SOCKS64_SHIM_DNS_LINK_HPP

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <netinet/in.h>
#include <optional>
#include <sys/socket.h>
#include <sys/types.h>

#include "dns/dns_answer.hpp"

namespace socks64::shim {

/// An address as the program gave it. AF_INET or AF_INET6.
struct DialledAddress {
  std::uint8_t size = 0;
  std::array<std::uint8_t, sizeof(sockaddr_in6)> octets{};

  [[nodiscard]] static DialledAddress of(const void* address, socklen_t length) noexcept;
  /// Writes it as the kernel does: as much as fits. Returns the whole length.
  socklen_t give(void* address, socklen_t room) const noexcept;
};

/// One socket and its duplicates. All-zero is a valid, unused slot.
struct DnsLink {
  static constexpr std::size_t max_query = 1024;

  std::atomic<ino_t> inode{0};
  std::atomic<bool> connected{false};  ///< to `resolver`, says the program
  std::atomic<bool> bare{false};       ///< `connected`, but the kernel could not do it: no way home
  std::atomic<Port> own_port{0};       ///< 0: to be asked of the kernel
  bool stream = false;
  bool established = false;      ///< stream: the kernel has been seen to be connected
  std::uint32_t references = 0;  ///< descriptors of this process
  IpAddress own_address;         ///< where the socket itself is reached
  DialledAddress resolver;

  /// Who was asked under which identifier (RFC 5452 section 4): a socket that is not connected may
  /// ask several, and takes an answer from none but the one it asked.
  struct Asked {
    DialledAddress resolver;
    std::uint16_t id = 0;
    bool open = false;  ///< no answer was read yet
  };
  std::array<Asked, 64> asked{};
  std::uint32_t asked_count = 0;

  // Stream: a query that has not come whole yet, and an answer that has not gone whole yet, each
  // with its two octets of length (RFC 1035 section 4.2.2).
  std::array<std::uint8_t, 2 + max_query> query{};
  std::size_t query_size = 0;
  std::array<std::uint8_t, 2 + dns_max_answer> answer{};
  std::size_t answer_size = 0;
  std::size_t answer_sent = 0;
};

// NOLINTNEXTLINE(bugprone-dynamic-static-initializers): constant-initialised in dns_link.cpp
extern std::atomic<int> dns_link_count;

/// False lets every hook go straight on.
inline bool any_dns_link() noexcept {
  return dns_link_count.load(std::memory_order_relaxed) != 0;
}

/// The link of a descriptor, if it still is the socket it was.
[[nodiscard]] DnsLink* find_dns_link(int fd) noexcept;
/// The same; a new one for the descriptor and its duplicates if there is none. Null: no memory.
[[nodiscard]] DnsLink* make_dns_link(int fd, bool stream) noexcept;

/// Whether an address, if any, has the port of a resolver.
[[nodiscard]] inline bool has_dns_port(const void* address, socklen_t length) noexcept {
  constexpr std::size_t port_at = 2;  // in AF_INET and AF_INET6 alike
  const auto* octets = static_cast<const std::uint8_t*>(address);
  return octets != nullptr && length >= static_cast<socklen_t>(port_at + 2) &&
         octets[port_at] == 0 && octets[port_at + 1] == 53;
}

// Each of these does a call that concerns a resolver as connect(2), sendmsg(2) and so on would; no
// value: it does not, and the call takes its usual way.

/// `address` is readable and at least a family long. Disconnecting counts as concerning one.
[[nodiscard]] std::optional<int> dns_connect(int fd, const sockaddr* address,
                                             socklen_t length) noexcept;
[[nodiscard]] std::optional<ssize_t> dns_sendmsg(int fd, const msghdr& message, int flags) noexcept;
[[nodiscard]] std::optional<ssize_t> dns_write(int fd, const void* buffer, std::size_t size,
                                               int flags) noexcept;
[[nodiscard]] std::optional<int> dns_getpeername(int fd, sockaddr* address,
                                                 socklen_t* length) noexcept;

/// After a datagram of `size` octets was read into `message`, whose name had `room` octets: shows
/// the resolver as its sender. Returns the size, another one when the datagram is a query that got
/// past the hooks for sending and is answered only now.
[[nodiscard]] ssize_t dns_received(int fd, msghdr& message, socklen_t room, ssize_t size,
                                   int flags) noexcept;

/// What is refused with what the policy says of any datagram that may not go.
inline constexpr int no_datagram_errno = ENETUNREACH;

// For fd_table, with its lock held: a descriptor more or fewer refers to the link.
void share(DnsLink& link) noexcept;
void drop(DnsLink& link) noexcept;

}  // namespace socks64::shim

#endif
