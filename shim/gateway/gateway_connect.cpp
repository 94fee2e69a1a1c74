// connect() through the gateway, and what follows it: the waiting that a blocking call does, a
// second connect(), the first I/O.
#include "gateway/gateway_connect.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <poll.h>
#include <pthread.h>

#include "socks64/sockaddr.hpp"

#include "descriptors/gateway_socket.hpp"
#include "descriptors/socket_swap.hpp"
#include "descriptors/wait_set.hpp"
#include "gateway/gateway_dial.hpp"
#include "gateway/gateway_link.hpp"
#include "gateway/gateways.hpp"
#include "gateway/progress_wait.hpp"
#include "host/hook_table.hpp"
#include "process/diag.hpp"
#include "process/raw_waits.hpp"
#include "process/runtime.hpp"

namespace socks64::shim {
namespace {

int fail_with(int error) noexcept {
  errno = error;
  return -1;
}

/// Waits until the handshake of `fd` is over, which was driven to `progress`. 0, EINTR, or
/// ETIMEDOUT when `end` came first. Holds no lock while it waits.
int await(int fd, Progress progress, Nanoseconds end) noexcept {
  while (progress.state == Progress::State::pending) {
    const Nanoseconds time = now();
    if (time >= end) {
      return ETIMEDOUT;
    }
    const Nanoseconds left =
        std::clamp<Nanoseconds>(std::min(end, progress.deadline) - time, 0, glance);
    pollfd waited[1 + watched_at_once];
    waited[0] = {progress.events == 0 ? -1 : fd, progress.events, 0};
    int result = poll_beside(waited, 1, true, time + left, nullptr);
    const bool no_error = result >= 0 && waited[0].fd >= 0 && (waited[0].revents & POLLERR) == 0;
    if (result < 0 && errno == EINVAL) {
      // RLIMIT_NOFILE is 0, as in sandboxes: then poll(2) takes no descriptor at all.
      constexpr timespec moment{0, 5'000'000};
      result = libc::ppoll(nullptr, 0, &moment, nullptr);
    }
    if (result < 0 && errno == EINTR && (end != never || !restarts_after_signals())) {
      return EINTR;
    }
    progress = drive(fd, {no_error, true});
  }
  return 0;
}

/// The blocking half of connect(): waits from `progress` on, then tells the outcome as connect(2)
/// does. `generation` is that of the handshake.
int finish_blocking(int fd, Connection& connection, std::uint32_t generation, Progress progress,
                    Nanoseconds end, int error_at_end) noexcept {
  const int saved = errno;
  const int interrupted = await(fd, progress, end);
  if (interrupted != 0) {
    return fail_with(interrupted == EINTR ? EINTR : error_at_end);
  }
  if (fd_table().connection(fd) != &connection || connection.generation.load() != generation) {
    return fail_with(EBADF);  // closed by another thread meanwhile
  }
  if (connection.state.load(std::memory_order_acquire) == ConnectionState::failed) {
    return fail_with(take_error(fd, connection));
  }
  connection.reported.store(true);
  errno = saved;
  return 0;
}

/// Returns the socket's domain, which its own address tells, or 0.
int note_dialled(Connection& connection, int fd, const sockaddr* address,
                 socklen_t length) noexcept {
  connection.dialled_size = static_cast<std::uint8_t>(std::min<std::size_t>(
      length, address->sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6)));
  std::memcpy(connection.dialled.data(), address, connection.dialled_size);
  if (const Connection* last = fd_table().last_connection(fd)) {
    connection.dialled_mapped = last->dialled_mapped && last->has_inode(connection.inode);
  }
  sockaddr_storage local{};
  socklen_t local_length = sizeof(local);
  if (libc::getsockname(fd, reinterpret_cast<sockaddr*>(&local), &local_length) != 0) {
    return 0;
  }
  const Result<Endpoint> bound =
      from_sockaddr(reinterpret_cast<const sockaddr*>(&local), local_length);
  connection.program_bound = bound && bound->port != 0;
  return local.ss_family;
}

}  // namespace

namespace {

/// A walk over the gateways that stands at one which can be dialled: names are resolved while no
/// lock is held.
GatewayWalk begin_walk() noexcept {
  GatewayWalk walk = gateways().begin();
  for (;;) {
    const Gateways::Pick pick = gateways().pick(walk, now());
    walk.current = pick.candidate;
    if (pick.kind != Gateways::Pick::Kind::unresolved) {
      return walk;
    }
    if (!gateways().resolve(pick.candidate)) {
      walk.note_tried(pick.candidate);
    }
  }
}

}  // namespace

int connect_through_gateway(int fd, const Target& target, const sockaddr* address,
                            socklen_t length) noexcept {
  pthread_testcancel();  // connect() is a cancellation point, also where it does not wait
  const int saved = errno;
  SocketManner manner = manner_of(fd);
  const Nanoseconds end = manner.end_of_connect();
  const GatewayWalk walk = begin_walk();
  const ino_t inode = inode_of(fd);
  Connection* connection = nullptr;
  std::uint32_t generation = 0;
  Progress progress;
  {
    const SignalBlock signal_block;
    connection = fd_table().reserve(inode);
    if (connection == nullptr) {
      return fail_with(ENOMEM);
    }
    PendingHandshake& handshake = *connection->handshake.load();
    generation = connection->generation.load();
    // Held until the kernel connects: whoever finds the connection waits for that.
    const WordGuard guard(handshake.lock);
    manner.domain = note_dialled(*connection, fd, address, length);
    handshake.target = target;
    handshake.inode = connection->inode;
    handshake.walk = walk;
    handshake.machine.reset();
    handshake.started = now();
    handshake.end = handshake.started + config().timeout_seconds * nanoseconds_per_second;
    handshake.deadline = handshake.attempt_end = handshake.end;
    // Registrations are marked before the kernel connects: an instant accept must not show as the
    // program's own readiness.
    if (const int refused = fd_table().publish(fd, *connection)) {
      return fail_with(refused);
    }
    const Dialled dialled = dial_gateway(fd, *connection, handshake, 0, manner);
    if (dialled.state == Dialled::State::none_left) {
      log_outcome(handshake, dialled.error, "the gateway cannot be reached");
      leave_gateway(fd, *connection, false);
      fd_table().detach(fd, *connection);
      return fail_with(dialled.error);
    }
    const bool under_way = dialled.state == Dialled::State::under_way;
    progress = {Progress::State::pending, under_way ? short{POLLOUT} : short{0}, handshake.deadline,
                dialled.state == Dialled::State::unresolved};
    if (under_way && (manner.non_blocking || dialled.connected)) {
      // An instant gateway gets its greeting now.
      progress = drive_dialled(fd, *connection, handshake, {dialled.connected, true});
    }
  }
  if (progress.unresolved) {
    progress = drive(fd);
  }
  if (manner.non_blocking) {
    finish_for_raw_wait(fd, wait_set().waits_for_bare(fd));
    return fail_with(EINPROGRESS);
  }
  errno = saved;
  return finish_blocking(fd, *connection, generation, progress, end, EINPROGRESS);
}

int connect_again(int fd, Connection& connection, const sockaddr* address,
                  socklen_t length) noexcept {
  pthread_testcancel();
  if (length >= static_cast<socklen_t>(sizeof(sa_family_t)) && address->sa_family == AF_UNSPEC) {
    abandon(fd, connection);
    return libc::connect(fd, address, length);
  }
  static_cast<void>(heed_raw_wait(fd));
  const Progress progress = drive(fd);
  if (progress.state == Progress::State::failed) {
    return fail_with(take_error(fd, connection));
  }
  if (progress.state == Progress::State::established) {
    // Linux says 0 to the first connect() after an asynchronous one succeeded, and EISCONN from
    // then on.
    return connection.reported.exchange(true) ? fail_with(EISCONN) : 0;
  }
  if (is_non_blocking(fd)) {
    return fail_with(EALREADY);
  }
  return finish_blocking(fd, connection, connection.generation.load(), progress,
                         end_of_wait(fd, SO_SNDTIMEO), EALREADY);
}

bool settle_before_io(int fd, bool dont_wait, int timeout_option) noexcept {
  Connection* connection = fd_table().connection(fd);
  if (connection == nullptr) {
    return true;
  }
  const bool raw =
      connection->state.load(std::memory_order_acquire) != ConnectionState::established &&
      heed_raw_wait(fd);
  Progress progress = drive(fd);
  if (progress.state == Progress::State::pending) {
    if (dont_wait || is_non_blocking(fd)) {
      pthread_testcancel();  // as the call that is not made would be
      errno = EAGAIN;
      return false;
    }
    const int saved = errno;
    const int interrupted = await(fd, progress, end_of_wait(fd, timeout_option));
    if (interrupted != 0) {
      errno = interrupted == EINTR ? EINTR : EAGAIN;
      return false;
    }
    errno = saved;
    progress = drive(fd);
  }
  if (progress.state == Progress::State::failed &&
      fd_table().verified_connection(fd) == connection) {
    // A raw wait may have shown a connection: it goes on to show an error, as of one that was
    // reset.
    if (const int error = raw ? tell_error(fd, *connection) : take_error(fd, *connection)) {
      errno = error;
      return false;
    }
  }
  return true;
}

bool finish_handshake(int fd) noexcept {
  if (fd_table().connection(fd) == nullptr) {
    return true;
  }
  const int saved = errno;
  const int interrupted = await(fd, drive(fd), never);
  errno = interrupted == 0 ? saved : interrupted;
  return interrupted == 0;
}

// Decision 0012 says how we got here, and what the moment is for.
void finish_for_raw_wait(int fd, SetWaits waits) noexcept {
  if (waits == SetWaits::hooked) {
    return;
  }
  const ErrnoGuard guard;
  if (waits == SetWaits::raw || some_thread_waits_raw()) {
    wait_set().note_raw_for(fd);
    while (!finish_handshake(fd)) {
    }
    return;
  }
  static constinit std::atomic<Nanoseconds> moment{25'000'000};
  const Nanoseconds begin = now();
  const Nanoseconds granted = moment.exchange(0, std::memory_order_relaxed);
  if (granted > 0 && await(fd, drive(fd), begin + granted) != EINTR) {
    moment.fetch_add(std::max<Nanoseconds>(granted - (now() - begin), 0),
                     std::memory_order_relaxed);
  }
}

bool heed_raw_wait(int fd) noexcept {
  const Connection* connection = fd_table().connection(fd);
  if (connection == nullptr || !wait_set().any_unserved(fd)) {
    return false;
  }
  const ErrnoGuard guard;
  if (connection->state.load(std::memory_order_acquire) == ConnectionState::pending) {
    pollfd shown{fd, POLLIN | POLLOUT, 0};
    const timespec at_once{};
    if (libc::ppoll(&shown, 1, &at_once, nullptr) <= 0) {
      return false;
    }
    finish_for_raw_wait(fd, SetWaits::raw);
  }
  wait_set().note_raw_for(fd);
  return true;
}

// Under the handshake's lock: nobody is to go on with it while the socket changes hands.
void abandon(int fd, Connection& connection) noexcept {
  const ErrnoGuard errno_guard;
  if (connection.state.load() == ConnectionState::failed) {
    static_cast<void>(take_error(fd, connection));
  }
  const SignalBlock signals;
  PendingHandshake* handshake = connection.handshake.load(std::memory_order_acquire);
  const bool locked = handshake != nullptr && handshake->lock.lock();
  // The kernel notes ECONNRESET where it takes a connection apart; what stands in for it has a note
  // of its own.
  const bool spoilt = connection.dialled_mapped;
  leave_gateway(fd, connection, is_swapped(connection));
  if (spoilt) {
    static_cast<void>(swap_socket(fd, connection, AF_INET6));  // at worst it is as it was
  }
  fd_table().detach(fd, connection);
  if (locked) {
    handshake->lock.unlock();
  }
}

}  // namespace socks64::shim
