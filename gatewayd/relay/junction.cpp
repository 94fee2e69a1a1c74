// The relay: two directions over two sockets, driven by readiness.
//
// Octets are moved by readiness handlers that make non-blocking system calls as RelayFlow says, one
// turn at a time, so a busy relay shares its worker with the others. Time is kept by the worker's
// clock for all relays (relay_clock.hpp); only a relay that must wait for less has a timer.
//
// What is waited for, per side, is where resets are won or lost:
//   - the side's read, while its outgoing direction could take more: sees octets, EOF and RST;
//   - its write, while the other direction is held up by it: sees room and RST;
//   - trouble (EPOLLERR, EPOLLHUP), while the side is not being read, because its octets are held
//     up at the other side or because it has sent EOF: sees RST alone. Without it, a client that
//     resets behind a stalled destination would be noticed only when the destination moves.
//
// A reset is passed on as a reset: closing with SO_LINGER {1, 0} sends RST (RFC 9293 section
// 3.10.4, ABORT). What the resetting side had sent before is still read from the kernel and written
// as far as the other side takes it at once.
//
// With relay.engine = "sockmap" the kernel carries small messages by itself while it has a lease.
// Whatever wakes us ends the lease, and what came behind it is relayed as ever; sockmap.hpp says
// what has to be minded then, and relay_kernel.cpp does.
#include "relay/junction.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <utility>

namespace socks64::gateway {

namespace {

using Step = RelayFlow::Step;

/// A turn of small messages.
constexpr std::size_t kSmallTurn = 16'384;

bool would_block(int error) noexcept {
  return error == EAGAIN || error == EWOULDBLOCK;
}

/// Whether a failed splice(2) says something about the connection. What says something about
/// splice itself - a socket without it, a sandbox that forbids it, no memory for it - leaves
/// recv(2) to tell the truth.
bool tells_of_peer(int error) noexcept {
  return error != EINVAL && error != EPERM && error != ENOSYS && error != ENOMEM;
}

template <class Call>
ssize_t retry_interrupted(Call call) noexcept {
  ssize_t result = -1;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

}  // namespace

void Junction::woken(WaitSlot& slot, const asio::error_code& error) noexcept {
  if (over_) {
    return;
  }
  if (error) {
    // Somebody cancelled the socket's operations, or the kernel had no memory for the wait.
    const bool cancelled = error == asio::error::operation_aborted;
    return end(cancelled ? RelayEnd::cancelled : RelayEnd::no_resources);
  }
  if (kernel_ && kernel_->dying != nullptr) {
    return;
  }
  revoke_lease();
  if (&slot == &client_.readable || &slot == &destination_.writable) {
    run(up_);
  } else if (&slot == &destination_.readable || &slot == &client_.writable) {
    run(down_);
  } else {
    look_for_trouble(&slot == &client_.trouble ? client_ : destination_);
  }
  lease_to_kernel();
}

void Junction::run(Direction& direction) noexcept {
  // Before anything is read, because what is read lies in the worker's buffer and has to be written
  // within the turn. With the lease gone nothing is redirected any more, so once is enough.
  switch (delivered(direction) ? turn(direction) : Turn::later) {
    case Turn::over:
      return wait_for_more(direction);
    case Turn::later:
      ask_again();
      return watch_for_trouble(direction.from);
    case Turn::source_failed:
      return passed_on_reset(direction.from);
    case Turn::sink_failed:
      return passed_on_reset(direction.to);
    case Turn::no_memory:
      return end(RelayEnd::no_resources);
  }
}

Turn Junction::turn(Direction& direction) noexcept {
  RelayFlow& flow = direction.flow;
  const std::uint64_t written = flow.written();
  const bool had_ended = flow.source_ended();
  Turn result = Turn::over;
  flow.begin_turn();
  for (bool more = true; more && result == Turn::over;) {
    switch (flow.next()) {
      case Step::receive:
      case Step::fill:
        if (direction.bandwidth == nullptr || may_read(direction)) {
          result = read_once(direction);
        } else {
          more = false;
        }
        break;
      case Step::send:
      case Step::drain:
        result = write_once(direction);
        break;
      case Step::keep:
        if (!keep_rest(direction)) {
          result = Turn::no_memory;
        }
        break;
      case Step::shut_down:
        if (last_words_) {
          more = false;
        } else if (other(direction).next() == Step::finished) {
          flow.shut();  // closing says the same, and is next
        } else if (::shutdown(direction.to.fd, SHUT_WR) == 0) {
          flow.shut();
        } else {
          result = Turn::sink_failed;  // ENOTCONN: reset in the meantime
        }
        break;
      case Step::await_readable:
      case Step::await_writable:
      case Step::finished:
        more = false;
        break;
    }
  }
  if (flow.held() == 0) {
    give_back(direction);
  }
  const bool eof = flow.source_ended() && !had_ended;
  if (kernel_) {
    const bool small = flow.written() - written <= kSmallTurn;
    kernel_->small_turns = small ? kernel_->small_turns + 1 : 0;
  }
  if (flow.written() != written || eof) {
    last_octet_ = Clock::now();
  }
  return result;
}

/// Of a direction with a bandwidth. False: `paused` until the alarm goes off for it. Nothing is
/// waited for meanwhile but trouble, so the source's octets stay with the kernel, and then with the
/// sender.
bool Junction::may_read(Direction& direction) noexcept {
  if (last_words_) {
    return true;
  }
  const Clock::time_point now = Clock::now();
  Bandwidth::Reservation& reserved = direction.reserved;
  if (reserved.octets == 0) {
    reserved = direction.bandwidth->reserve(pool_.pipes().capacity(), now);
  }
  if (reserved.from <= now) {
    direction.paused = false;
    return true;
  }
  if (!direction.paused) {
    direction.paused = true;
    last_octet_ = std::max(last_octet_, reserved.from);
    set_alarm();
  }
  return false;
}

/// How much of `room` the next read may take.
std::size_t Junction::allowed(const Direction& direction, std::size_t room) const noexcept {
  if (direction.bandwidth == nullptr || last_words_) {
    return room;
  }
  return std::min(room, direction.reserved.octets);
}

/// After a read: what it did not use goes back to the others.
void Junction::settle(Direction& direction, std::size_t octets) noexcept {
  const std::size_t reserved = std::exchange(direction.reserved, {}).octets;
  if (octets > reserved) {
    direction.bandwidth->charge(octets - reserved, Clock::now());
  } else {
    direction.bandwidth->give_back(reserved - octets);
  }
}

Turn Junction::read_once(Direction& direction) noexcept {
  RelayFlow& flow = direction.flow;
  const bool fill = flow.next() == Step::fill;
  ssize_t got = -1;
  if (fill) {
    if (!direction.pipe) {
      direction.pipe = pool_.pipes().lend();
    }
    if (!direction.pipe) {
      flow.no_pipe();
      return Turn::over;
    }
    got = retry_interrupted([&] {
      return ::splice(direction.from.fd, nullptr, direction.pipe.write_end(), nullptr,
                      allowed(direction, pool_.pipes().capacity()),
                      SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    });
    if (got > 0) {
      flow.filled(static_cast<std::size_t>(got));
    }
  } else {
    std::span<std::uint8_t> room = pool_.shared_buffer();
    room = room.first(allowed(direction, room.size()));
    got = retry_interrupted(
        [&] { return ::recv(direction.from.fd, room.data(), room.size(), MSG_DONTWAIT); });
    if (got > 0) {
      direction.rest = room.first(static_cast<std::size_t>(got));
      flow.received(static_cast<std::size_t>(got), room.size());
    }
  }
  if (direction.bandwidth != nullptr) {
    settle(direction, got > 0 ? static_cast<std::size_t>(got) : 0);
  }
  if (got > 0) {
    return Turn::over;
  }
  if (got == 0) {
    if (!exhausted(direction)) {
      return Turn::later;
    }
    flow.end_of_stream();
  } else if (would_block(errno)) {
    flow.nothing_to_read();
  } else if (fill && !tells_of_peer(errno)) {
    flow.no_splice();
  } else {
    return Turn::source_failed;
  }
  return Turn::over;
}

Turn Junction::write_once(Direction& direction) noexcept {
  RelayFlow& flow = direction.flow;
  const bool drain = flow.next() == Step::drain;
  const ssize_t put = retry_interrupted([&] {
    return drain ? ::splice(direction.pipe.read_end(), nullptr, direction.to.fd, nullptr,
                            flow.held(), SPLICE_F_NONBLOCK | SPLICE_F_MOVE)
                 : ::send(direction.to.fd, direction.rest.data(), direction.rest.size(),
                          MSG_DONTWAIT | MSG_NOSIGNAL);
  });
  if (put >= 0) {
    const auto octets = static_cast<std::size_t>(put);
    flow.wrote(octets);
    if (!drain) {
      direction.rest = direction.rest.subspan(octets);
    }
  } else if (would_block(errno)) {
    flow.sink_full();
  } else {
    return Turn::sink_failed;
  }
  return Turn::over;
}

/// The shared buffer is the worker's: what the sink did not take moves to a block of its own, which
/// stays until the sink has taken all of it. The one copy too many is paid by slow sinks alone.
bool Junction::keep_rest(Direction& direction) noexcept {
  if (!direction.block) {
    direction.block = pool_.lend_block();  // else it has just run empty
  }
  if (!direction.block) {
    return false;
  }
  std::copy(direction.rest.begin(), direction.rest.end(), direction.block.get());
  direction.rest = {direction.block.get(), direction.rest.size()};
  direction.flow.kept();
  return true;
}

void Junction::give_back(Direction& direction) noexcept {
  if (direction.block) {
    pool_.take_back(std::move(direction.block));
  }
  if (direction.pipe) {
    pool_.pipes().take_back(std::exchange(direction.pipe, Pipe{}), direction.flow.held() == 0);
  }
}

void Junction::wait_for_more(Direction& direction) {
  switch (direction.flow.next()) {
    case Step::await_readable:
      direction.from.readable.arm(*this, direction.from.socket, Ready::read,
                                  direction.flow.drained() && short_is_all(direction));
      break;
    case Step::await_writable:
      direction.to.writable.arm(*this, direction.to.socket, Ready::write, true);
      watch_for_trouble(direction.from);
      break;
    default:
      if (up_.flow.next() == Step::finished && down_.flow.next() == Step::finished) {
        end(RelayEnd::both_closed);
      } else {
        watch_for_trouble(direction.from);
      }
      break;
  }
}

/// Stays armed once it is, also when the side is read again: disarming would cost more than a
/// second look at a side that is dead anyway.
void Junction::watch_for_trouble(Side& side) {
  if (side.closed_both_ways) {
    return;
  }
  side.trouble.arm(*this, side.socket, Ready::error);
}

void Junction::look_for_trouble(Side& side) noexcept {
  pollfd state{side.fd, 0, 0};
  if (::poll(&state, 1, 0) <= 0) {
    return watch_for_trouble(side);
  }
  if ((state.revents & POLLERR) != 0) {
    return passed_on_reset(side);
  }
  side.closed_both_ways = true;  // its EOF is not read yet, ours is sent
}

}  // namespace socks64::gateway
