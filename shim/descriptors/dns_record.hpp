// What is known of a socket over which a program speaks DNS with a resolver (dns/dns_link.hpp). It
// lies here because the table of descriptors refers to it.
#ifndef SOCKS64_SHIM_DNS_RECORD_HPP
#define SOCKS64_SHIM_DNS_RECORD_HPP

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "socks64/address.hpp"

namespace socks64::shim {

/// The longest answer that is passed on: what resolvers usually send.
inline constexpr std::size_t dns_max_answer = 4096;

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

/// A link that nothing refers to yet, all its members as new but for `stream`; null: no memory.
/// Precondition of this and the next two: the lock of the table of descriptors is held.
[[nodiscard]] DnsLink* allocate_dns_link(bool stream) noexcept;
/// A descriptor more refers to the link.
void share(DnsLink& link) noexcept;
/// A descriptor fewer; the last one gives it back.
void drop(DnsLink& link) noexcept;

}  // namespace socks64::shim

#endif
