// Stage 2: admit a connection, or leave it waiting in the kernel's queue.
#ifndef SOCKS64_GATEWAYD_LIMITS_HPP
#define SOCKS64_GATEWAYD_LIMITS_HPP

#include <atomic>
#include <cstddef>
#include <functional>
#include <optional>
#include <utility>

namespace socks64::gateway {

/// How many sessions `descriptors` (RLIMIT_NOFILE) allow: two a session, after what the workers,
/// the log, the resolver and the relays' pipes take, and what so many UDP associations may take
/// besides their own two.
[[nodiscard]] std::size_t sessions_for_descriptors(std::size_t descriptors, unsigned threads,
                                                   std::size_t associations = 0) noexcept;

/// A bound on all sessions. admit() is called by the accepting thread alone, tickets are returned
/// by any worker.
class SessionLimit {
 public:
  /// The right to be one of the sessions; given back on destruction.
  class Ticket {
   public:
    Ticket(Ticket&& other) noexcept : limit_(std::exchange(other.limit_, nullptr)) {}
    Ticket& operator=(Ticket&&) = delete;
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    ~Ticket() {
      if (limit_ != nullptr) {
        limit_->give_back();
      }
    }

   private:
    friend class SessionLimit;
    explicit Ticket(SessionLimit* limit) noexcept : limit_(limit) {}
    SessionLimit* limit_;
  };

  explicit SessionLimit(std::size_t limit) noexcept : limit_(limit) {}
  SessionLimit(const SessionLimit&) = delete;
  SessionLimit& operator=(const SessionLimit&) = delete;

  [[nodiscard]] bool full() const noexcept { return count() >= limit_; }
  /// Empty when full.
  [[nodiscard]] std::optional<Ticket> admit() noexcept;
  [[nodiscard]] std::size_t count() const noexcept { return count_.load(); }

  /// From now on `idle` is called, on whichever thread, each time that the count falls to 0. Called
  /// once, by the accepting thread; look at count() afterwards.
  void when_idle(std::function<void()> idle);

 private:
  void give_back() noexcept;

  const std::size_t limit_;
  std::atomic<std::size_t> count_{0};
  std::atomic<bool> watched_{false};
  std::function<void()> idle_;
};

}  // namespace socks64::gateway

#endif
