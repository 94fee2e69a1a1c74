// The handshake with the gateway.
//
// The program's own socket is connected to the gateway, and stays what it is: same descriptor,
// flags, options, registrations. A state machine (socks64/client_handshake.hpp) holds what is to be
// said next; drive() moves it with non-blocking sends and exactly sized non-blocking receives, so
// that what the destination says behind the gateway's reply is left for the program. Nobody but the
// program's own calls drives: waits (hook_wait.cpp), a blocking connect (below), or the first I/O
// (hook_stream.cpp).
//
// When a handshake fails for what the gateway said, the socket is taken apart with
// connect(AF_UNSPEC). The kernel then closes the stream to the gateway, leaves the socket
// unconnected but alive, as after a failed direct connect, and reports POLLERR | POLLHUP | POLLOUT
// on it, to epoll too: so even a waiter that no hook saw learns of the failure. Only the reason is
// ours to tell: take_error() hands it out once. When the stream to the gateway itself breaks, the
// kernel has the reason already, and reports it the same way as long as nobody fetches it: so it is
// left there until take_error().
#include "gateway/gateway_link.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "descriptors/gateway_socket.hpp"
#include "descriptors/socket_kind.hpp"
#include "descriptors/socket_swap.hpp"
#include "descriptors/wait_set.hpp"
#include "gateway/explain.hpp"
#include "gateway/gateway_dial.hpp"
#include "gateway/gateways.hpp"
#include "host/hook_table.hpp"
#include "process/diag.hpp"
#include "tables/policy.hpp"

namespace socks64::shim {
namespace {

/// Connection::error: the reason is in the kernel's SO_ERROR.
constexpr int kernel_has_it = -1;

/// An error of the stream to the gateway as connect(2) tells it: who writes to a gateway that has
/// closed gets EPIPE, which connect(2) does not know.
int as_connect_says(int error) noexcept {
  return error == 0 || error == EPIPE ? ECONNRESET : error;
}

}  // namespace

void log_outcome(const PendingHandshake& handshake, int error, std::string_view who) noexcept {
  if (!diagnoses(error == 0 ? LogLevel::info : LogLevel::error)) {
    return;
  }
  if (explains()) {
    explain_outcome(handshake, error, who);
    return;
  }
  const TargetText target = text(handshake.target);
  const Gateways::Text gateway = gateways().text(handshake.walk.current);
  if (error == 0) {
    diagnose(LogLevel::info, {"connected to ", target, " through ", gateway});
  } else if (error == kernel_has_it) {
    diagnose(LogLevel::error, {"cannot connect to ", target, " through ", gateway, ": ", who});
  } else {
    diagnose(LogLevel::error, {"cannot connect to ", target, " through ", gateway, ": ", who,
                               " (errno ", decimal(error), ")"});
  }
}

namespace {

/// A handshake in hand: its lock is held, its descriptor verified. The generation is noted, since a
/// close by another thread may give slot and connection to somebody else while we work.
struct Link {
  int fd;
  Connection& connection;
  PendingHandshake& handshake;
  std::uint32_t generation;
};

void succeed(const Link& link) noexcept {
  gateways().works(link.handshake.walk.current);
  link.connection.bound_port = port_of(link.handshake.machine->bound());
  log_outcome(link.handshake, 0, {});
  fd_table().settle(link.fd, link.connection, link.generation, 0);
}

Progress fail(const Link& link, int error, std::string_view who) noexcept {
  log_outcome(link.handshake, error, who);
  leave_gateway(link.fd, link.connection, true);
  fd_table().settle(link.fd, link.connection, link.generation, error);
  return {Progress::State::failed, 0, never};
}

/// Dials the next gateway. Pending without events: there is nothing the kernel could tell.
Progress dial_next(const Link& link, int last_error) noexcept {
  const Dialled dialled =
      dial_gateway(link.fd, link.connection, link.handshake, last_error, manner_of(link.fd));
  switch (dialled.state) {
    case Dialled::State::under_way:
      return {Progress::State::pending, POLLOUT, link.handshake.deadline};
    case Dialled::State::later:
      return {Progress::State::pending, 0, link.handshake.deadline};
    case Dialled::State::unresolved:
      return {Progress::State::pending, 0, link.handshake.deadline, true,
              link.handshake.walk.current};
    case Dialled::State::none_left:
      break;
  }
  return fail(link, dialled.error, "the gateway cannot be reached");
}

/// The gateway did not do its part: on to the next, if there is one.
Progress gateway_failed(const Link& link, int error, std::string_view who) noexcept {
  return attempt_failed(link.handshake, error, who) ? dial_next(link, error)
                                                    : fail(link, error, who);
}

Progress fail_as_machine_says(const Link& link) noexcept {
  const ClientHandshake& machine = *link.handshake.machine;
  TextBuffer<128> who;
  if (machine.error() == Errc::request_failed) {
    // The destination's failure: no other gateway is asked for it.
    gateways().works(link.handshake.walk.current);
    who.append("the gateway answered: ");
    who.append(describe(machine.reply_code()));
    return fail(link, errno_of(machine.reply_code()), who);
  }
  who.append("the gateway failed: ");
  who.append(describe(machine.error()));
  return gateway_failed(link, errno_of(machine.error()), who);
}

/// The kernel holds the reason, and shows it to everybody as long as nobody fetches it: so the last
/// gateway's is left there.
Progress fail_as_kernel_says(const Link& link) noexcept {
  constexpr std::string_view who = "the gateway cannot be reached";
  GatewayWalk rest = link.handshake.walk;
  rest.note_tried(rest.current);
  if (is_swapped(link.connection) ||
      gateways().pick(rest, now()).kind != Gateways::Pick::Kind::none) {
    return gateway_failed(link, as_connect_says(option(link.fd, SOL_SOCKET, SO_ERROR, 0)), who);
  }
  gateways().failed(rest.current, now());
  log_outcome(link.handshake, kernel_has_it, who);
  fd_table().settle(link.fd, link.connection, link.generation, kernel_has_it);
  return {Progress::State::failed, 0, never};
}

/// Nothing to be read for now.
Progress wait_for_input(const Link& link) noexcept {
  if (link.handshake.machine->awaits_reply()) {
    link.handshake.deadline = link.handshake.end;
  }
  return {Progress::State::pending, POLLIN, link.handshake.deadline};
}

/// Moves the machine until it has to wait.
Progress step(const Link& link, Seen seen) noexcept {
  ClientHandshake& machine = *link.handshake.machine;
  // A gateway that refuses what was sent ahead of its answer may reset the stream behind the
  // answer: what it said before is read first.
  if (!seen.no_error && has_kernel_error(link.fd) &&
      (machine.want() != ClientHandshake::Want::read || octets_waiting(link.fd) == 0)) {
    return fail_as_kernel_says(link);
  }
  for (;;) {
    switch (machine.want()) {
      case ClientHandshake::Want::done:
        succeed(link);
        return {Progress::State::established, 0, never};
      case ClientHandshake::Want::failed:
        return fail_as_machine_says(link);
      case ClientHandshake::Want::write: {
        const Bytes out = machine.output();
        const long sent = syscall(SYS_sendto, link.fd, out.data(), out.size(),
                                  MSG_DONTWAIT | MSG_NOSIGNAL, nullptr, 0);
        if (sent >= 0) {
          machine.sent(static_cast<std::size_t>(sent));
          if (seen.input_wakes && machine.want() == ClientHandshake::Want::read) {
            return wait_for_input(link);
          }
          continue;
        }
        // EAGAIN also while the kernel still connects to the gateway; EINPROGRESS with
        // TCP_FASTOPEN_CONNECT.
        if (errno == EAGAIN || errno == EINPROGRESS) {
          return {Progress::State::pending, POLLOUT, link.handshake.deadline};
        }
        break;
      }
      case ClientHandshake::Want::read: {
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): as many octets as are counted
        std::array<std::uint8_t, max_reply_size> in;
        const std::size_t most = std::min(machine.read_size(), in.size());
        const long got =
            syscall(SYS_recvfrom, link.fd, in.data(), most, MSG_DONTWAIT, nullptr, nullptr);
        if (got > 0) {
          machine.received(Bytes(in.data(), static_cast<std::size_t>(got)));
          continue;
        }
        if (got == 0) {
          machine.closed();
          continue;
        }
        if (errno == EAGAIN) {
          return wait_for_input(link);
        }
        break;
      }
    }
    if (errno == EINTR) {
      continue;
    }
    // The stream broke between has_kernel_error() and our I/O, which has consumed the kernel's
    // error.
    return gateway_failed(link, as_connect_says(errno), "the gateway cannot be reached");
  }
}

/// As far as it goes without waiting: steps, and the gateways that are left.
Progress advance(const Link& link, Seen seen) noexcept {
  PendingHandshake& handshake = link.handshake;
  for (;;) {
    const std::size_t before = handshake.walk.place();
    Progress progress = handshake.walk.dialled ? step(link, seen) : dial_next(link, 0);
    seen.no_error = false;
    const Nanoseconds time = now();
    if (progress.state != Progress::State::pending || progress.unresolved) {
      return progress;
    }
    // Another gateway: a UNIX socket is connected at once, and no event of the kernel's tells.
    if (handshake.walk.dialled && handshake.walk.place() != before && time < handshake.deadline) {
      continue;
    }
    if (time >= handshake.end) {
      return fail(link, ETIMEDOUT, "the gateway did not answer in time");
    }
    if (time < handshake.deadline) {
      return progress;
    }
    if (handshake.walk.dialled) {
      progress = gateway_failed(link, ETIMEDOUT, "the gateway did not answer in time");
      if (progress.state != Progress::State::pending || progress.unresolved) {
        return progress;
      }
    }
  }
}

/// The handshake's slot has changed hands: a process we are related to by fork finished it. What
/// came out, the kernel knows.
Progress learn_from_kernel(int fd, Connection& connection, std::uint32_t generation) noexcept {
  sockaddr_storage peer{};
  socklen_t length = sizeof(peer);
  bool connected = libc::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) == 0;
  if (connected && is_swapped(connection)) {
    connected = !is_hung_up(fd);  // a UNIX socket that was given up still has a peer
  }
  fd_table().settle(fd, connection, generation, connected ? 0 : ECONNABORTED);
  return {connected ? Progress::State::established : Progress::State::failed, 0, never};
}

Progress settled_progress(const Connection& connection) noexcept {
  switch (connection.state.load(std::memory_order_acquire)) {
    case ConnectionState::established:
      return {Progress::State::established, 0, never};
    case ConnectionState::failed:
      return {Progress::State::failed, 0, never};
    default:
      return {};
  }
}

/// drive(), but a gateway's name is left to be resolved when no lock is held; `unresolvable` is one
/// for which that was tried in vain.
Progress drive_locked(int fd, const Candidate* unresolvable, Seen seen) noexcept {
  // Again when the descriptor was closed and dialled anew while we waited for the lock.
  for (;;) {
    Connection* connection = fd_table().connection(fd);
    if (connection == nullptr) {
      return {};
    }
    if (connection->state.load(std::memory_order_acquire) != ConnectionState::pending) {
      return settled_progress(*connection);
    }
    const ErrnoGuard errno_guard;
    const SignalBlock signal_block;
    const std::uint32_t generation = connection->generation.load(std::memory_order_acquire);
    PendingHandshake* handshake = connection->handshake.load(std::memory_order_acquire);
    if (handshake == nullptr) {
      continue;
    }
    const WordGuard guard(handshake->lock);
    if (!guard.held()) {
      return {Progress::State::pending, POLLIN, never};
    }
    if (fd_table().connection(fd) != connection || connection->handshake.load() != handshake ||
        connection->generation.load() != generation) {
      continue;
    }
    if (!connection->has_inode(inode_of(fd))) {
      fd_table().release_stale(fd);
      return {};
    }
    if (handshake->generation.load(std::memory_order_acquire) != generation) {
      return learn_from_kernel(fd, *connection, generation);
    }
    if (handshake->inode != connection->inode) {
      fd_table().settle_lost(fd, *connection, generation);
      return {Progress::State::failed, 0, never};
    }
    if (unresolvable != nullptr && !handshake->walk.dialled) {
      handshake->walk.note_tried(*unresolvable);
    }
    const Progress progress = advance({fd, *connection, *handshake, generation}, seen);
    connection->awaits.store(progress.events, std::memory_order_relaxed);
    return progress;
  }
}

}  // namespace

Nanoseconds now() noexcept {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * nanoseconds_per_second + time.tv_nsec;
}

Progress drive_dialled(int fd, Connection& connection, PendingHandshake& handshake,
                       Seen seen) noexcept {
  const Progress progress =
      advance({fd, connection, handshake, connection.generation.load()}, seen);
  connection.awaits.store(progress.events, std::memory_order_relaxed);
  return progress;
}

Progress drive(int fd, Seen seen) noexcept {
  Progress progress = drive_locked(fd, nullptr, seen);
  while (progress.unresolved) {
    const Candidate candidate = progress.candidate;
    const bool resolved = gateways().resolve(candidate);
    progress = drive_locked(fd, resolved ? nullptr : &candidate, {});
  }
  return progress;
}

void serve_deadlines() noexcept {
  constexpr int most = 256;
  for (int served = 0; served < most && fd_table().next_deadline() <= now(); ++served) {
    const int fd = fd_table().overdue(now());
    if (fd < 0) {
      return;
    }
    static_cast<void>(drive(fd));
  }
}

void look_after_handshakes() noexcept {
  constexpr int most = 64;
  static constinit std::atomic<std::uint32_t> place{0};
  static constinit std::atomic<Nanoseconds> next_time{0};
  const Nanoseconds time = now();
  if (time < next_time.load(std::memory_order_relaxed)) {
    return;
  }
  next_time.store(time + patience, std::memory_order_relaxed);
  std::uint32_t cursor = place.load(std::memory_order_relaxed);
  for (int served = 0; served < most; ++served) {
    const int fd = fd_table().next_pending(cursor);
    if (fd < 0) {
      cursor = 0;
      break;
    }
    static_cast<void>(drive(fd));
  }
  place.store(cursor, std::memory_order_relaxed);
}

int tell_error(int fd, Connection& connection) noexcept {
  const int error = connection.error.load(std::memory_order_relaxed);
  if (error == kernel_has_it) {
    return take_error(fd, connection);
  }
  if (!fd_table().spend(connection)) {
    return 0;
  }
  // The kernel says ENOTCONN, and notes it all the same: the socket is readable, and at its end.
  const ErrnoGuard guard;
  libc::shutdown(fd, SHUT_RDWR);
  return error;
}

int take_error(int fd, Connection& connection) noexcept {
  const int error = connection.error.load(std::memory_order_relaxed);
  if (!fd_table().spend(connection)) {
    return 0;
  }
  // With our reason goes the kernel's own note of the disconnect (ECONNRESET).
  const ErrnoGuard guard;
  const int kernel_error = option(fd, SOL_SOCKET, SO_ERROR, 0);
  if (error != kernel_has_it) {
    return error;
  }
  leave_gateway(fd, connection, false);  // else it would count as connected at the next dial
  return as_connect_says(kernel_error);
}

}  // namespace socks64::shim
