// What one user may have of the gateway, by whatever clients and workers its sessions come in:
// sessions at once, new sessions a second, octets a second each way.
//
// Only authenticated users are counted, so the users file bounds the table; users without a session
// are forgotten now and then. A lock guards the table. It is taken when a session is admitted and
// when it ends, never for octets.
#ifndef SOCKS64_GATEWAYD_USER_LIMITS_HPP
#define SOCKS64_GATEWAYD_USER_LIMITS_HPP

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/bandwidth.hpp"
#include "base/event_rate.hpp"
#include "base/ticket.hpp"
#include "settings/limit_config.hpp"

namespace socks64::gateway {

/// Any thread.
class UserCounts {
  struct User {
    explicit User(UserCounts& in) noexcept : table(in) {}
    void give_back() noexcept;

    UserCounts& table;
    std::uint32_t sessions = 0;
    EventRate rate;
    Bandwidth up;
    Bandwidth down;
  };

 public:
  using Clock = EventRate::Clock;

  /// One of a user's sessions, for as long as it exists; or nobody's.
  class Ticket : public gateway::Ticket<User> {
   public:
    using gateway::Ticket<User>::Ticket;

    /// The user's, shared by all sessions of the user; nothing when it is not limited.
    [[nodiscard]] BandwidthPair bandwidth() const noexcept;
  };

  struct Admission {
    std::string_view refused;  ///< a literal for the access record; empty: admitted
    Ticket ticket;
  };

  UserCounts() = default;
  UserCounts(const UserCounts&) = delete;
  UserCounts& operator=(const UserCounts&) = delete;

  /// `user` empty: not authenticated, and not limited here. The table outlives every ticket. Throws
  /// std::bad_alloc.
  [[nodiscard]] Admission admit(std::string_view user, const UserLimits& limits,
                                Clock::time_point now);

  [[nodiscard]] std::size_t size() const;

 private:
  void forget(Clock::time_point now);

  mutable std::mutex mutex_;
  std::unordered_map<std::string, User> users_;
  std::size_t next_look_ = 1024;  ///< so many users, and those who are away are looked for
};

}  // namespace socks64::gateway

#endif
