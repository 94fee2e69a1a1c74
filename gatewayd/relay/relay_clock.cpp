#include "relay/relay_clock.hpp"

#include <exception>

namespace socks64::gateway {

asio::execution_context::id RelayClock::id;

RelayClock::RelayClock(asio::execution_context& context)
    : asio::execution_context::service(context),
      timer_(static_cast<asio::io_context&>(context).get_executor()) {}

void RelayClock::shutdown() {
  while (first_ != nullptr) {
    Timed& timed = *first_;
    remove(timed);
    timed.forgotten();
  }
}

void RelayClock::add(Timed& timed) {
  if (!armed_) {
    arm();
  }
  timed.previous_ = nullptr;
  timed.next_ = first_;
  if (first_ != nullptr) {
    first_->previous_ = &timed;
  }
  first_ = &timed;
}

void RelayClock::remove(Timed& timed) noexcept {
  (timed.previous_ != nullptr ? timed.previous_->next_ : first_) = timed.next_;
  if (timed.next_ != nullptr) {
    timed.next_->previous_ = timed.previous_;
  }
}

/// The timer is not cancelled when the last relay ends: it fires once in vain, and there is rarely
/// a moment without any.
void RelayClock::arm() {
  timer_.expires_after(period);
  timer_.async_wait(in_memory(memory_, [this](const asio::error_code& error) {
    armed_ = false;
    if (!error && first_ != nullptr) {
      look();
    }
  }));
  armed_ = true;
}

void RelayClock::look() {
  arm();
  const Clock::time_point now = Clock::now();
  for (Timed* timed = first_; timed != nullptr;) {
    Timed* const next = timed->next_;
    timed->look_at_clock(now);
    timed = next;
  }
}

}  // namespace socks64::gateway
