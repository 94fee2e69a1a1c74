// Stage 8 of UDP ASSOCIATE, RFC 1928 section 7: datagrams between the client and whomever it sends
// to, for as long as its TCP connection lives. What may go wrong, and the rules against it, are at
// the head of udp_association.cpp.
#ifndef SOCKS64_GATEWAYD_UDP_ASSOCIATION_HPP
#define SOCKS64_GATEWAYD_UDP_ASSOCIATION_HPP

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "socks64/address.hpp"

#include "account/udp_counts.hpp"
#include "authorise/requester.hpp"
#include "base/bandwidth.hpp"
#include "base/descriptor.hpp"
#include "base/ticket.hpp"
#include "datagram/udp_batch.hpp"
#include "datagram/udp_datagram.hpp"
#include "loop/net.hpp"
#include "resolve/resolve.hpp"
#include "settings/dial_config.hpp"
#include "settings/udp_config.hpp"

namespace socks64::gateway {

struct Policy;

/// A bound on all associations. Any thread.
class AssociationLimit {
 public:
  /// `most`: never more than that.
  explicit AssociationLimit(std::size_t most) noexcept : most_(most) {}
  AssociationLimit(const AssociationLimit&) = delete;
  AssociationLimit& operator=(const AssociationLimit&) = delete;

  /// Empty when there are `limit` already, which may be another one each time.
  [[nodiscard]] Ticket<Counter> admit(std::size_t limit) noexcept {
    return associations_.add_below(std::min(limit, most_));
  }

 private:
  const std::size_t most_;
  Counter associations_;
};

/// What all associations of the gateway have in common.
struct UdpService {
  UdpConfig config;
  Resolver& resolver;
  DialConfig dial;  ///< how names are looked up, which families there are, and our end
  AssociationLimit limit;
};

/// What one association uses and never owns; all of it outlives the association.
struct AssociationServices {
  UdpService& service;
  UdpPool& pool;  ///< its worker's
  /// Its worker's: where a reload puts the current one, by which every datagram is judged.
  const std::shared_ptr<const Policy>& policy;
};

/// What one association begins with.
struct UdpOpening {
  Descriptor socket;    ///< the client's side, bound
  ClientSource source;  ///< where its datagrams come from
};

enum class UdpEnd : std::uint8_t {
  client_closed,
  client_reset,
  idle_timeout,
  no_resources,
  cancelled,
};

/// Relays until the client's TCP connection ends, nothing was relayed for the idle time, or the
/// session is cancelled; every socket of the association is closed then, and so is the client's.
/// `counts` is kept up to date, also when the coroutine is destroyed. What is referred to outlives
/// it. Datagrams beyond the bandwidth are dropped, as those beyond the rate.
[[nodiscard]] Task<UdpEnd> relay_datagrams(Socket& control, UdpOpening opening,
                                           const Requester& requester,
                                           const AssociationServices& services, UdpCounts& counts,
                                           const BandwidthPair& bandwidth = {});

}  // namespace socks64::gateway

#endif
