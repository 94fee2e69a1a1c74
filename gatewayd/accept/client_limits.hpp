// Stage 2, for each client by itself: how many sessions it has, and how fast it opens them.
//
// A client is a block of addresses, because whoever has an IPv6 /64 has all of its addresses; on a
// UNIX socket it is a user id. The table belongs to the first worker, which accepts, so looking up
// takes no lock; what other workers touch is the count of sessions, when they destroy a ticket, and
// that is atomic.
//
// Memory is bounded by a number of clients that are remembered. One is forgotten only when that
// makes no difference: it has no session, and its rate has recovered. So no client loses its record
// by pushing others, or itself, out of the table. When no client can be forgotten, newcomers share
// one of a few common records: whoever fills the table from many addresses makes newcomers share
// their limits, but no client escapes its own.
#ifndef SOCKS64_GATEWAYD_CLIENT_LIMITS_HPP
#define SOCKS64_GATEWAYD_CLIENT_LIMITS_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/client.hpp"
#include "base/event_rate.hpp"
#include "base/ticket.hpp"
#include "settings/limit_config.hpp"

namespace socks64::gateway {

class ClientTable {
 public:
  using Clock = EventRate::Clock;

  enum class Verdict : std::uint8_t { admitted, too_many, too_fast };

  /// What was refused since the last report.
  struct Refusals {
    std::uint64_t too_many = 0;
    std::uint64_t too_fast = 0;
    Client last;

    /// One line for the log.
    [[nodiscard]] std::string text() const;
  };

  explicit ClientTable(const ClientLimits& limits, std::size_t capacity = 65'536);
  ClientTable(const ClientTable&) = delete;
  ClientTable& operator=(const ClientTable&) = delete;

  /// Uses these limits from now on. Sessions that were admitted without limits were not counted. If
  /// a prefix length has changed, clients begin anew.
  void set_limits(const ClientLimits& limits) noexcept { limits_ = limits; }

  /// Of a connection that was accepted: whether it may become a session, which `ticket` is for, if
  /// there are limits. The table outlives every ticket.
  [[nodiscard]] Verdict admit(const Client& client, Ticket<Counter>& ticket,
                              Clock::time_point now) noexcept;

  /// What has been refused since the last time, at most every ten seconds: a flood must not become
  /// one of log lines.
  [[nodiscard]] std::optional<Refusals> report_refusals(Clock::time_point now) noexcept;

  /// Clients remembered.
  [[nodiscard]] std::size_t size() const noexcept { return clients_.size(); }

 private:
  struct Key {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    std::uint64_t kind = 0;
    friend bool operator==(const Key&, const Key&) noexcept = default;
  };
  /// Keyed: who chooses addresses must not be able to choose collisions.
  struct Hash {
    std::array<std::uint64_t, 3> secret;
    std::size_t operator()(const Key& key) const noexcept;
  };
  struct Record {
    Counter sessions;
    EventRate rate;
    const Key* key = nullptr;
    Record* older = nullptr;
    Record* newer = nullptr;

    [[nodiscard]] bool worthless(Clock::time_point now) const noexcept {
      return sessions.count() == 0 && rate.full(now);
    }
  };

  [[nodiscard]] Key key_of(const Client& client) const noexcept;
  [[nodiscard]] Record& record_of(const Key& key, Clock::time_point now) noexcept;
  void forget(Clock::time_point now) noexcept;
  void unlink(Record& record) noexcept;
  void link_newest(Record& record) noexcept;

  ClientLimits limits_;
  const std::size_t capacity_;
  std::unordered_map<Key, Record, Hash> clients_;
  Record* oldest_ = nullptr;  ///< the one whose last connection is the longest ago
  Record* newest_ = nullptr;
  std::array<Record, 64> common_;
  Refusals refusals_;
  Clock::time_point next_report_{};
};

}  // namespace socks64::gateway

#endif
