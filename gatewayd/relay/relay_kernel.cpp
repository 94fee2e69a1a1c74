// The part of a relay that the kernel carries by itself; sockmap.hpp says what has to be minded.
#include <exception>
#include <new>

#include "relay/junction.hpp"

namespace socks64::gateway {

namespace {

using Step = RelayFlow::Step;

/// How soon, and for a dead side how often, to ask again when redirected octets are still on their
/// way to a sink.
constexpr std::chrono::milliseconds kAskAgain{1};
constexpr unsigned kAsksAtOnce = 16;  ///< a few microseconds; as a rule the first will do
constexpr unsigned kJoins = 32;       ///< attempts to join the map, before it is given up
constexpr unsigned kAsksForTheDead = 10;

}  // namespace

std::array<OwnOctets, 2> Junction::own_octets() const noexcept {
  const auto own = [](const RelayFlow& flow, std::size_t early) {
    return OwnOctets{flow.written() + flow.held() - early, flow.written()};
  };
  return {own(up_.flow, kernel_->early), own(down_.flow, 0)};
}

bool Junction::delivered(const Direction& direction) const noexcept {
  const KernelRelay* const relay = in_kernel();
  if (relay == nullptr) {
    return true;
  }
  for (unsigned ask = 0; ask < kAsksAtOnce; ++ask) {
    if (relay->delivered(way(direction), direction.flow.written())) {
      return true;
    }
  }
  return false;
}

bool Junction::exhausted(const Direction& direction) const noexcept {
  const KernelRelay* const relay = in_kernel();
  return relay == nullptr || relay->exhausted(way(direction), own_octets()[way(direction)].read);
}

void Junction::revoke_lease() noexcept {
  if (KernelRelay* const relay = in_kernel()) {
    relay->revoke();
  }
}

void Junction::ask_again() noexcept {
  if (kernel_->ask_at) {
    return;
  }
  kernel_->ask_at = Clock::now() + kAskAgain;
  set_alarm();
}

void Junction::ask_now() noexcept {
  kernel_->ask_at.reset();
  if (kernel_->dying != nullptr) {
    return passed_on_reset(*kernel_->dying);
  }
  revoke_lease();
  run(up_);
  if (!over_ && kernel_->dying == nullptr) {
    run(down_);
  }
  lease_to_kernel();
}

/// Of a side that is dead: whether the kernel still carries what it had sent.
bool Junction::last_octets_on_their_way(Side& side, const Direction& last) noexcept {
  const KernelRelay* const relay = in_kernel();
  if (relay == nullptr || relay->accounted(way(last), own_octets()[way(last)])) {
    return false;
  }
  if (++kernel_->asked_for_dead > kAsksForTheDead) {
    return false;
  }
  kernel_->dying = &side;
  return true;
}

/// Once the relay has shown that it is one of small messages, and both ways are at rest.
void Junction::lease_to_kernel() noexcept {
  if (over_ || !kernel_ || kernel_->refused || kernel_->dying != nullptr) {
    return;
  }
  if (kernel_->small_turns < pool_.small_turns_to_kernel()) {
    return;
  }
  for (const Direction* direction : {&up_, &down_}) {
    if (direction->flow.next() != Step::await_readable || direction->flow.splicing()) {
      return;
    }
  }
  if (!kernel_->relay) {
    try {
      kernel_->relay = pool_.sockmap()->join(client_.fd, destination_.fd, own_octets());
    } catch (const std::bad_alloc&) {
      report_escape("relay", std::current_exception());
    }
    if (!kernel_->relay) {  // as a rule because the answer has arrived already
      kernel_->refused = ++kernel_->joins == kJoins;
      return;
    }
    for (Direction* direction : {&up_, &down_}) {
      direction->flow.no_splice();
    }
  }
  kernel_->relay->lease(own_octets());
}

}  // namespace socks64::gateway
