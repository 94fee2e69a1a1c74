// The judgement over one datagram of an association, RFC 1928 section 7: whose it is, what it asks
// for, and what goes in front of a reply. No socket here, so the fuzzers reach all of it.
#ifndef SOCKS64_GATEWAYD_UDP_DATAGRAM_HPP
#define SOCKS64_GATEWAYD_UDP_DATAGRAM_HPP

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "socks64/address.hpp"
#include "socks64/wire.hpp"

#include "account/udp_counts.hpp"
#include "base/token_bucket.hpp"

namespace socks64::gateway {

/// The header in front of a reply: 10 octets for a sender with an IPv4 address, 22 for IPv6.
inline constexpr std::size_t max_reply_header = 22;
/// The most that one UDP datagram carries without jumbograms: what the 16-bit lengths of UDP and of
/// the IPv4 header leave, and of the IPv6 payload.
inline constexpr std::size_t max_udp_over_ipv4 = 65'535 - 20 - 8;
inline constexpr std::size_t max_udp_over_ipv6 = 65'535 - 8;

struct ClientDatagram {
  std::optional<UdpDrop> drop;  ///< set: malformed, fragment or destination; the rest means nothing
  Target target;                ///< an address is never IPv4-mapped, a name never a literal
  Bytes payload;                ///< may be empty; points into the datagram
};

/// A datagram that came from the client.
[[nodiscard]] ClientDatagram judge_datagram(Bytes datagram) noexcept;

/// Whether one host can be meant. Expects no IPv4-mapped address. A subnet's broadcast address
/// looks like any other; the kernel refuses to send to it.
[[nodiscard]] bool is_usable_destination(const Endpoint& destination) noexcept;

/// What stands in front of a reply from `sender`.
class ReplyHeader {
 public:
  explicit ReplyHeader(const Endpoint& sender) noexcept;
  [[nodiscard]] Bytes octets() const noexcept { return Bytes(octets_).first(size_); }

 private:
  std::array<std::uint8_t, max_reply_header> octets_;
  std::size_t size_;
};

/// Where the client's datagrams come from: who may use the association.
///
/// The address is that of the TCP client, whatever the request says. The port is that of the
/// request if it names one (section 7: the server may use it to limit access), unless the address
/// beside it is another than the TCP client's: such a client is behind a NAT and does not know its
/// address, so it does not know its port either. Without a port in the request the first good
/// datagram from the client's address decides. Once known, the port stays.
class ClientSource {
 public:
  /// `client`: the TCP connection's other end, not IPv4-mapped. `announced`: the request's DST.
  ClientSource(const IpAddress& client, const Target& announced) noexcept;

  /// Whether a datagram from there may be the client's.
  [[nodiscard]] bool admits(const Endpoint& from) const noexcept {
    return from.address == address_ && (port_ == 0 || from.port == port_);
  }
  /// A good datagram came from this port. Expects that it is admitted.
  void settle(Port port) noexcept { port_ = port; }

  /// Port 0 as long as it is not known.
  [[nodiscard]] Endpoint endpoint() const noexcept { return {address_, port_}; }

 private:
  IpAddress address_;
  Port port_ = 0;
};

/// So many datagrams a second, and as many in one burst.
class DatagramRate {
 public:
  using Time = TokenBucket::Clock::time_point;

  /// `per_second`: 0 for any number. May change between two calls.
  [[nodiscard]] bool admits(std::uint64_t per_second, Time now) noexcept {
    return per_second == 0 || bucket_.take(1, per_second, now);
  }

 private:
  TokenBucket bucket_{std::chrono::seconds{1}};
};

}  // namespace socks64::gateway

#endif
