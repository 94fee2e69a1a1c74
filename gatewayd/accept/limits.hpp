// Stage 2: admit a connection, or leave it waiting in the kernel's queue.
#ifndef SOCKS64_GATEWAYD_LIMITS_HPP
#define SOCKS64_GATEWAYD_LIMITS_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

#include "base/ticket.hpp"

namespace socks64::gateway {

/// How many sessions `descriptors` (RLIMIT_NOFILE) allow: two a session, after what the workers,
/// the log, the resolver and the relays' pipes take, and what so many UDP associations may take
/// besides their own two.
[[nodiscard]] std::size_t sessions_for_descriptors(std::size_t descriptors, unsigned threads,
                                                   std::size_t associations = 0) noexcept;

/// A bound on all sessions. admit() is called by the first worker alone, which accepts; tickets are
/// returned by any worker.
class SessionLimit {
 public:
  /// The right to be one of the sessions.
  using Ticket = gateway::Ticket<SessionLimit>;

  explicit SessionLimit(std::size_t limit) noexcept : limit_(limit) {}
  SessionLimit(const SessionLimit&) = delete;
  SessionLimit& operator=(const SessionLimit&) = delete;

  [[nodiscard]] bool full() const noexcept { return count() >= limit_; }
  /// A lower one ends no session. The first worker only.
  void set_limit(std::size_t limit) noexcept { limit_ = limit; }
  /// Empty when full.
  [[nodiscard]] std::optional<Ticket> admit() noexcept;
  [[nodiscard]] std::size_t count() const noexcept { return count_.load(); }

  /// From now on `full` is called each time that somebody has to wait because no session is left.
  /// The first worker only, as is the call.
  void when_full(std::function<void()> full) { full_ = std::move(full); }
  void somebody_waits() const {
    if (full_) {
      full_();
    }
  }

  /// From now on `idle` is called, on whichever thread, each time that the count falls to 0. Called
  /// once, when accepting has ended; look at count() afterwards.
  void when_idle(std::function<void()> idle);

 private:
  friend Ticket;
  void give_back() noexcept;

  std::size_t limit_;
  std::atomic<std::size_t> count_{0};
  std::atomic<bool> watched_{false};
  std::function<void()> idle_;
  std::function<void()> full_;
};

}  // namespace socks64::gateway

#endif
