// What an association relayed, and what it dropped and why: for the access record.
#ifndef SOCKS64_GATEWAYD_UDP_COUNTS_HPP
#define SOCKS64_GATEWAYD_UDP_COUNTS_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace socks64::gateway {

/// Why a datagram was not relayed. UDP promises nothing, so nobody is told but the operator.
enum class UdpDrop : std::uint8_t {
  foreign,      ///< came in on the client's side from somebody else
  malformed,    ///< no header of RFC 1928 section 7
  fragment,     ///< FRAG is not 0
  destination,  ///< port 0, or an address that is not one host's: unspecified, multicast, broadcast
  denied,       ///< by a rule; also when it, or the like of `destination`, takes all of a name's
                ///< addresses
  name,         ///< its name has no address, or none was known in time
  waiting,      ///< too much waits for names already
  rate,         ///< over limits.udp_datagrams_per_second
  unsolicited,  ///< from an address that the client has sent nothing to
  oversized,    ///< with its header it is more than a datagram of the client's family carries
  congested,    ///< the kernel's send buffer is full
  unreachable,  ///< the kernel would not send it: no route, no socket
};
inline constexpr std::size_t udp_drop_causes = 12;
/// One word, as in the access record: "foreign", "malformed", ...
[[nodiscard]] std::string_view describe(UdpDrop cause) noexcept;

struct UdpCounts {
  std::uint64_t up = 0;         ///< datagrams from the client that were sent on
  std::uint64_t down = 0;       ///< replies that were sent to the client
  std::uint64_t octets_up = 0;  ///< of their payloads
  std::uint64_t octets_down = 0;
  std::array<std::uint64_t, udp_drop_causes> dropped{};

  void drop(UdpDrop cause, std::uint64_t count = 1) noexcept {
    dropped[static_cast<std::size_t>(cause)] += count;
  }
  [[nodiscard]] std::uint64_t dropped_for(UdpDrop cause) const noexcept {
    return dropped[static_cast<std::size_t>(cause)];
  }
};

}  // namespace socks64::gateway

#endif
