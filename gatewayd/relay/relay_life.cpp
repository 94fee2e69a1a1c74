// A relay's beginning, its time, and its end.
#include <algorithm>
#include <exception>
#include <sys/socket.h>
#include <utility>

#include "base/keep_alive.hpp"
#include "base/socket_option.hpp"
#include "relay/junction.hpp"

namespace socks64::gateway {

namespace {

using Step = RelayFlow::Step;

/// A destination that has vanished is not to hold a session for ever, but most sessions are over
/// long before keep-alive would say anything, and need not pay for its four system calls.
constexpr std::chrono::seconds kKeepAliveAfter{1};

}  // namespace

std::string_view describe(RelayEnd end) noexcept {
  switch (end) {
    case RelayEnd::both_closed:
      return "both-closed";
    case RelayEnd::client_reset:
      return "client-reset";
    case RelayEnd::destination_reset:
      return "destination-reset";
    case RelayEnd::idle_timeout:
      return "idle-timeout";
    case RelayEnd::half_close_timeout:
      return "half-close-timeout";
    case RelayEnd::cancelled:
      return "cancelled";
    case RelayEnd::no_resources:
      return "no-resources";
  }
  return "unknown";
}

Relay& make_relay(RelayOrder order, RelayPool& pool, std::unique_ptr<RelayOwner> owner) {
  return *new Junction(std::move(order), pool, std::move(owner));
}

void Junction::start() noexcept {
  // An urgent octet is an octet: out of line it would vanish from the stream. Clients' sockets have
  // this from their listener.
  set_option(destination_.fd, SOL_SOCKET, SO_OOBINLINE, 1);
  const Hold hold(*this);
  run(up_);
  // The destination is not watched yet: what it has sent will be the first edge.
  if (!over_ && kernel_) {
    run(down_);  // it has to be at rest before the kernel may have it
  }
  if (!over_) {
    destination_.readable.arm(*this, destination_.socket, Ready::read);
  }
  lease_to_kernel();
}

/// `side` is dead. What it has sent may still be in the kernel: pass on what the other side takes
/// at once, then let that one see a reset too.
void Junction::passed_on_reset(Side& side) noexcept {
  Direction& last = &side == &client_ ? up_ : down_;
  last_words_ = true;
  revoke_lease();
  for (bool more = delivered(last); more;) {
    const std::uint64_t before = last.flow.written();
    more = turn(last) == Turn::over && last.flow.written() != before &&
           last.flow.next() == Step::await_readable;
  }
  if (last_octets_on_their_way(side, last)) {
    return ask_again();
  }
  end(&side == &client_ ? RelayEnd::client_reset : RelayEnd::destination_reset);
}

void Junction::end(RelayEnd why) noexcept {
  if (over_) {
    return;
  }
  over_ = true;
  revoke_lease();
  give_back(up_);
  give_back(down_);
  for (Direction* direction : {&up_, &down_}) {
    if (direction->reserved.octets != 0) {
      settle(*direction, 0);
    }
  }
  for (Side* side : {&client_, &destination_}) {
    if (why != RelayEnd::both_closed) {
      const linger abort{1, 0};
      ::setsockopt(side->fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    }
    side->socket.close();
  }
  if (alarm_) {
    alarm_->cancel();
  }
  RelayReport report{up_.flow.written(), down_.flow.written(), why};
  if (const KernelRelay* const relay = in_kernel()) {
    report.octets_up += relay->redirected(0);
    report.octets_down += relay->redirected(1);
    report.octets_redirected = relay->redirected(0) + relay->redirected(1);
  }
  kernel_.reset();  // behind the sockets
  owner_->ended(report);
  owner_.reset();
  clock_.remove(*this);
  release();  // the clock's hold: the last line, for it may be the last hold
}

std::chrono::seconds Junction::limit() const noexcept {
  return half_closed() ? limits_.half_close : limits_.idle;
}

/// When the first direction may go on that has to pause, or the kernel is to be asked again.
void Junction::set_alarm() noexcept {
  auto when = Clock::time_point::max();
  for (const Direction* direction : {&up_, &down_}) {
    if (direction->paused) {
      when = std::min(when, direction->reserved.from);
    }
  }
  if (kernel_ && kernel_->ask_at) {
    when = std::min(when, *kernel_->ask_at);
  }
  try {
    if (!alarm_) {
      alarm_ = std::make_unique<Timer>(context().get_executor());
    }
    alarm_->expires_at(when);
    alarm_->async_wait([this, hold = Hold(*this)](const asio::error_code& error) {
      if (!error && !over_) {
        look_at_clock(Clock::now());
      }
    });
  } catch (...) {
    // No memory for the timer: the clock will do, a little late.
    report_escape("relay", std::current_exception());
  }
}

/// Moving octets only notes the time; here it is looked at.
void Junction::look_at_clock(Clock::time_point now) noexcept {
  const Hold hold(*this);
  if (kernel_ && kernel_->ask_at && now >= *kernel_->ask_at) {
    ask_now();
    if (over_ || kernel_->dying != nullptr) {
      return;
    }
  }
  if (const KernelRelay* const relay = in_kernel()) {
    last_octet_ = std::max(last_octet_, relay->last());
  }
  const std::chrono::seconds most = limit();
  if (most.count() != 0 && now >= last_octet_ + most) {
    return end(half_closed() ? RelayEnd::half_close_timeout : RelayEnd::idle_timeout);
  }
  bool still_paused = false;
  for (Direction* direction : {&up_, &down_}) {
    if (over_ || !direction->paused) {
      continue;
    }
    if (now >= direction->reserved.from) {
      run(*direction);
    }
    still_paused = still_paused || direction->paused;
  }
  if (over_) {
    return;
  }
  if (still_paused) {
    set_alarm();
  }
  if (!keeps_alive_ && now >= began_ + kKeepAliveAfter) {
    keeps_alive_ = true;
    keep_alive(destination_.fd);
  }
}

}  // namespace socks64::gateway
