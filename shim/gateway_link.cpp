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
#include "gateway_link.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "diag.hpp"
#include "explain.hpp"
#include "gateway_socket.hpp"
#include "hook_table.hpp"
#include "lifecycle.hpp"
#include "policy.hpp"
#include "socket_kind.hpp"
#include "wait_set.hpp"

namespace socks64::shim {
namespace {

/// Connection::error: the reason is in the kernel's SO_ERROR.
constexpr int kernel_has_it = -1;

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
  const Endpoint::Text gateway = config().gateway.endpoint.text();
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
  link.connection.bound_port = port_of(link.handshake.machine->bound());
  log_outcome(link.handshake, 0, {});
  fd_table().settle(link.fd, link.connection, link.generation, 0);
}

void fail(const Link& link, int error, std::string_view who) noexcept {
  log_outcome(link.handshake, error, who);
  disconnect(link.fd);
  give_back_v6only(link.fd, link.connection);
  fd_table().settle(link.fd, link.connection, link.generation, error);
}

void fail_as_machine_says(const Link& link) noexcept {
  const ClientHandshake& machine = *link.handshake.machine;
  const bool answered = machine.error() == Errc::request_failed;
  TextBuffer<128> who;
  who.append(answered ? "the gateway answered: " : "the gateway failed: ");
  who.append(answered ? describe(machine.reply_code()) : describe(machine.error()));
  fail(link, answered ? errno_of(machine.reply_code()) : errno_of(machine.error()), who);
}

/// The stream broke between has_kernel_error() and our I/O, which has consumed the kernel's error,
/// and with it POLLERR. A disconnect leaves such a note only where there was a connection, hence
/// the attempt that is given up at once.
void fail_as_kernel_said(const Link& link, int error) noexcept {
  disconnect(link.fd);
  sockaddr_storage gateway{};
  const socklen_t length = gateway_address(link.fd, gateway);
  connect_without_waiting(link.fd, gateway, length, is_non_blocking(link.fd));
  fail(link, error, "the gateway cannot be reached");
}

/// Moves the machine until it has to wait.
Progress step(const Link& link) noexcept {
  ClientHandshake& machine = *link.handshake.machine;
  if (has_kernel_error(link.fd)) {
    log_outcome(link.handshake, kernel_has_it, "the gateway cannot be reached");
    fd_table().settle(link.fd, link.connection, link.generation, kernel_has_it);
    return {Progress::State::failed, 0, never};
  }
  for (;;) {
    switch (machine.want()) {
      case ClientHandshake::Want::done:
        succeed(link);
        return {Progress::State::established, 0, never};
      case ClientHandshake::Want::failed:
        fail_as_machine_says(link);
        return {Progress::State::failed, 0, never};
      case ClientHandshake::Want::write: {
        const Bytes out = machine.output();
        const long sent = syscall(SYS_sendto, link.fd, out.data(), out.size(),
                                  MSG_DONTWAIT | MSG_NOSIGNAL, nullptr, 0);
        if (sent >= 0) {
          machine.sent(static_cast<std::size_t>(sent));
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
          return {Progress::State::pending, POLLIN, link.handshake.deadline};
        }
        break;
      }
    }
    if (errno == EINTR) {
      continue;
    }
    fail_as_kernel_said(link, errno);
    return {Progress::State::failed, 0, never};
  }
}

/// The handshake's slot has changed hands: a process we are related to by fork finished it. What
/// came out, the kernel knows.
Progress learn_from_kernel(int fd, Connection& connection, std::uint32_t generation) noexcept {
  sockaddr_storage peer{};
  socklen_t length = sizeof(peer);
  const bool connected = libc::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) == 0;
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

}  // namespace

Nanoseconds now() noexcept {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * nanoseconds_per_second + time.tv_nsec;
}

Progress drive(int fd) noexcept {
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
    if (connection->inode != inode_of(fd)) {
      fd_table().release_stale(fd);
      return {};
    }
    if (handshake->generation.load(std::memory_order_acquire) != generation) {
      return learn_from_kernel(fd, *connection, generation);
    }
    const Link link{fd, *connection, *handshake, generation};
    const Progress progress = step(link);
    if (progress.state == Progress::State::pending && now() >= handshake->deadline) {
      fail(link, ETIMEDOUT, "the gateway did not answer in time");
      return {Progress::State::failed, 0, never};
    }
    return progress;
  }
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
  disconnect(fd);  // else a broken stream would count as connected at the next dial
  give_back_v6only(fd, connection);
  return kernel_error != 0 ? kernel_error : ECONNRESET;
}

}  // namespace socks64::shim
