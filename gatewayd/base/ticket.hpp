// The right to count: as one of the sessions, of a client's, of a user's, of a worker's, or as one
// of the associations. Whoever has the ticket counts, until it is destroyed.
#ifndef SOCKS64_GATEWAYD_TICKET_HPP
#define SOCKS64_GATEWAYD_TICKET_HPP

#include <atomic>
#include <cstddef>
#include <utility>

namespace socks64::gateway {

/// `Count` has `void give_back() noexcept`, which is called once for each ticket, on whichever
/// thread destroys it. The count outlives every ticket.
template <class Count>
class Ticket {
 public:
  /// Counts nowhere.
  Ticket() = default;
  /// One that `count` has counted already.
  explicit Ticket(Count& count) noexcept : count_(&count) {}
  Ticket(Ticket&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
  Ticket& operator=(Ticket&& other) noexcept {
    std::swap(count_, other.count_);
    return *this;
  }
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;
  ~Ticket() {
    if (count_ != nullptr) {
      count_->give_back();
    }
  }

  [[nodiscard]] explicit operator bool() const noexcept { return count_ != nullptr; }

 protected:
  [[nodiscard]] Count* count() const noexcept { return count_; }

 private:
  Count* count_ = nullptr;
};

/// A count without anything behind it. Any thread.
class Counter {
 public:
  Counter() = default;
  Counter(const Counter&) = delete;
  Counter& operator=(const Counter&) = delete;

  [[nodiscard]] Ticket<Counter> add() noexcept {
    count_.fetch_add(1, std::memory_order_relaxed);
    return Ticket<Counter>(*this);
  }
  /// Empty when there are `limit` already, which may be another one each time.
  [[nodiscard]] Ticket<Counter> add_below(std::size_t limit) noexcept {
    if (count_.fetch_add(1, std::memory_order_relaxed) < limit) {
      return Ticket<Counter>(*this);
    }
    give_back();
    return {};
  }
  [[nodiscard]] std::size_t count() const noexcept {
    return count_.load(std::memory_order_acquire);
  }

 private:
  friend class Ticket<Counter>;

  /// Nothing is touched afterwards: who reads 0 may free it.
  void give_back() noexcept { count_.fetch_sub(1, std::memory_order_release); }

  std::atomic<std::size_t> count_{0};
};

}  // namespace socks64::gateway

#endif
