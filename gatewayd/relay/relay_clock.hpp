// The time of all relays of one io_context, which are many and mostly wait: one timer looks at them
// every half second, instead of one timer, with its heap, for each.
#ifndef SOCKS64_GATEWAYD_RELAY_CLOCK_HPP
#define SOCKS64_GATEWAYD_RELAY_CLOCK_HPP

#include <chrono>

#include <asio/execution_context.hpp>

#include "loop/net.hpp"
#include "loop/op_memory.hpp"

namespace socks64::gateway {

/// What is looked at. In the list from add() to remove(), and referred to as long.
class Timed {
 public:
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

  /// May remove itself, and no other.
  virtual void look_at_clock(Clock::time_point now) noexcept = 0;
  /// The io_context goes away; already out of the list.
  virtual void forgotten() noexcept = 0;

 protected:
  Timed() = default;
  virtual ~Timed() = default;

 private:
  friend class RelayClock;

  Timed* previous_ = nullptr;
  Timed* next_ = nullptr;
};

class RelayClock final : public asio::execution_context::service {
 public:
  using key_type = RelayClock;
  static asio::execution_context::id id;
  static constexpr std::chrono::milliseconds period{500};

  explicit RelayClock(asio::execution_context& context);
  static RelayClock& of(asio::io_context& context) {
    return asio::use_service<RelayClock>(context);
  }

  /// Throws when there is no memory for the timer.
  void add(Timed& timed);
  void remove(Timed& timed) noexcept;

 private:
  void shutdown() override;
  void arm();
  void look();

  OpMemory memory_;
  Timer timer_;
  bool armed_ = false;
  Timed* first_ = nullptr;
};

}  // namespace socks64::gateway

#endif
