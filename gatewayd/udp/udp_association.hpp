// Stage 8 of UDP ASSOCIATE, RFC 1928 section 7: datagrams between the client and whomever it sends
// to, for as long as its TCP connection lives. What may go wrong, and the rules against it, are at
// the head of udp_association.cpp.
#ifndef SOCKS64_GATEWAYD_UDP_ASSOCIATION_HPP
#define SOCKS64_GATEWAYD_UDP_ASSOCIATION_HPP

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <utility>

#include "socks64/address.hpp"

#include "account/udp_counts.hpp"
#include "authorise/authorise.hpp"
#include "base/bandwidth.hpp"
#include "base/descriptor.hpp"
#include "dial/dial.hpp"
#include "loop/net.hpp"
#include "resolve/resolve.hpp"
#include "session/session.hpp"
#include "settings/udp_config.hpp"
#include "udp/udp_batch.hpp"
#include "udp/udp_datagram.hpp"

namespace socks64::gateway {

/// A bound on all associations. Any thread.
class AssociationLimit {
 public:
  /// The right to be one of them; given back on destruction.
  class Ticket {
   public:
    Ticket(Ticket&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
    Ticket& operator=(Ticket&&) = delete;
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    ~Ticket() {
      if (count_ != nullptr) {
        count_->fetch_sub(1);
      }
    }

   private:
    friend class AssociationLimit;
    explicit Ticket(std::atomic<std::size_t>* count) noexcept : count_(count) {}
    std::atomic<std::size_t>* count_;
  };

  /// `most`: never more than that.
  explicit AssociationLimit(std::size_t most) noexcept : most_(most) {}
  AssociationLimit(const AssociationLimit&) = delete;
  AssociationLimit& operator=(const AssociationLimit&) = delete;

  /// Nothing when there are `limit` already, which may be another one each time.
  [[nodiscard]] std::optional<Ticket> admit(std::size_t limit) noexcept {
    if (count_.fetch_add(1) < std::min(limit, most_)) {
      return Ticket(&count_);
    }
    count_.fetch_sub(1);
    return std::nullopt;
  }

 private:
  const std::size_t most_;
  std::atomic<std::size_t> count_{0};
};

/// What all associations of the gateway have in common.
struct UdpService {
  UdpConfig config;
  Resolver& resolver;
  DialConfig dial;  ///< how names are looked up, which families there are, and our end
  AssociationLimit limit;
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
                                           const SessionServices& services, UdpCounts& counts,
                                           const BandwidthPair& bandwidth = {});

}  // namespace socks64::gateway

#endif
