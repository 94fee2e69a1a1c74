// Dialling a gateway.
//
// Most connects have one gateway, which the program's own socket can dial: one connect(2), and that
// is all. With several, a gateway that fails before it has replied gives way to the next, inside
// the same connect of the program, on the same descriptor: the socket is taken apart with
// connect(AF_UNSPEC) and dials again, or another takes its place where its family is of no use
// (socket_swap.cpp).
//
// How long may a gateway take? While others are left: `gateway_timeout`, until it has accepted the
// greeting. From then on it is alive, and the destination may take its time; only the timeout of
// the whole connect counts.
//
// What fails for want of something on this host (descriptors, memory, ports) is not held against
// the gateway.
#include "gateway/gateway_dial.hpp"

#include <algorithm>
#include <cerrno>
#include <netinet/in.h>

#include "descriptors/fd_table.hpp"
#include "descriptors/gateway_socket.hpp"
#include "descriptors/socket_kind.hpp"
#include "descriptors/socket_swap.hpp"
#include "gateway/gateways.hpp"
#include "process/diag.hpp"
#include "process/runtime.hpp"

namespace socks64::shim {
namespace {

/// How soon a UNIX socket with a full queue is dialled again.
constexpr Nanoseconds queue_pause = 10'000'000;

/// The family of socket that reaches an address from a program's socket of family `own`.
int domain_for(int own, int address) noexcept {
  // An AF_INET6 socket reaches IPv4 by the mapped address.
  return address == AF_INET && own == AF_INET6 ? AF_INET6 : address;
}

/// Where the process was forked meanwhile, relatives keep the old file, and learn that the
/// handshake has left it.
int swap_for_gateway(int fd, Connection& connection, PendingHandshake& handshake,
                     int domain) noexcept {
  if (const int error = swap_socket(fd, connection, domain)) {
    return error;
  }
  handshake.inode = connection.inode;
  handshake.walk.used = false;
  return 0;
}

/// What connect(2) of an internet socket may say instead of an error of the file system.
int as_connect_says(int error) noexcept {
  return error == ENOENT || error == ENOTDIR || error == ELOOP || error == EPROTOTYPE ? ECONNREFUSED
                                                                                      : error;
}

/// Makes the socket one that can dial `address`, which may change its form. 0 or an errno.
int prepare(int fd, Connection& connection, PendingHandshake& handshake, Gateways::Address& address,
            SocketManner& manner) noexcept {
  const int current = manner.domain != 0 ? manner.domain : socket_option(fd, SO_DOMAIN);
  manner.domain = 0;  // what is swapped here has another
  const int domain = domain_for(own_domain(connection, current), address.storage.ss_family);
  bool& used = handshake.walk.used;
  const bool spoilt = connection.dialled_mapped && address.storage.ss_family == AF_INET6;
  // A UNIX socket cannot be taken apart.
  if (current != domain || (used && domain == AF_UNIX) || spoilt) {
    if (const int error = swap_for_gateway(fd, connection, handshake, domain)) {
      return error;
    }
  } else if (used) {
    disconnect(fd);
    static_cast<void>(option(fd, SOL_SOCKET, SO_ERROR, 0));
    used = false;
  }
  if (domain == AF_INET6 && address.storage.ss_family == AF_INET) {
    if (!clear_v6only(fd, connection.v6only_cleared)) {
      return swap_for_gateway(fd, connection, handshake, AF_INET);
    }
    connection.dialled_mapped = true;
    const auto v4 = reinterpret_cast<const sockaddr_in&>(address.storage);
    address = Gateways::Address{};
    auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = v4.sin_port;
    v6.sin6_addr.s6_addr[10] = v6.sin6_addr.s6_addr[11] = 0xff;
    std::copy_n(reinterpret_cast<const std::uint8_t*>(&v4.sin_addr), sizeof(v4.sin_addr),
                v6.sin6_addr.s6_addr + 12);
    address.length = sizeof(v6);
  }
  return 0;
}

bool others_left(const GatewayWalk& walk) noexcept {
  GatewayWalk rest = walk;
  rest.note_tried(walk.current);
  return gateways().pick(rest, now()).kind != Gateways::Pick::Kind::none;
}

void start_handshake(PendingHandshake& handshake) noexcept {
  const Config& all = config();
  ClientHandshake::Options options;
  options.pipelining = all.pipelining;
  handshake.machine.emplace(Request{Command::connect, handshake.target},
                            all.credentials_for(all.gateways[handshake.walk.current.gateway]),
                            options);
}

void set_deadline(PendingHandshake& handshake, Nanoseconds deadline) noexcept {
  const WordGuard guard(fd_table().lock());
  handshake.deadline = std::min(deadline, handshake.end);
  fd_table().expect_deadline(handshake.deadline);
}

}  // namespace

bool is_local_shortage(int error) noexcept {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS ||
         error == EADDRNOTAVAIL || error == EADDRINUSE || error == EAFNOSUPPORT;
}

bool attempt_failed(PendingHandshake& handshake, int error, std::string_view why) noexcept {
  GatewayWalk& walk = handshake.walk;
  walk.note_tried(walk.current);
  walk.dialled = false;
  const Nanoseconds time = now();
  if (!is_local_shortage(error)) {
    gateways().failed(walk.current, time);
  }
  if (time >= handshake.end || gateways().pick(walk, time).kind == Gateways::Pick::Kind::none) {
    return false;
  }
  diagnose(LogLevel::error, {"the gateway ", gateways().text(walk.current), " failed: ", why,
                             " (errno ", decimal(error), "); going on to the next"});
  return true;
}

Dialled dial_gateway(int fd, Connection& connection, PendingHandshake& handshake, int last_error,
                     SocketManner manner) noexcept {
  GatewayWalk& walk = handshake.walk;
  int error = last_error != 0 ? last_error : nothing_to_dial_errno;
  for (;;) {
    const Gateways::Pick pick = gateways().pick(walk, now());
    if (pick.kind == Gateways::Pick::Kind::none) {
      return {Dialled::State::none_left, as_connect_says(error)};
    }
    const bool again = walk.waiting;
    walk.waiting = false;
    walk.current = again ? walk.current : pick.candidate;
    if (!again && pick.kind == Gateways::Pick::Kind::unresolved) {
      return {Dialled::State::unresolved, 0};
    }
    if (!again) {
      handshake.attempt_end =
          others_left(walk) ? now() + config().gateway_timeout_seconds * nanoseconds_per_second
                            : handshake.end;
    }
    Gateways::Address address = gateways().address(walk.current);
    error = prepare(fd, connection, handshake, address, manner);
    bool connected = false;
    if (error == 0) {
      walk.used = true;
      connected = connect_without_waiting(fd, address.storage, address.length, manner) == 0;
      error = connected || errno == EINPROGRESS || errno == EINTR ? 0 : errno;
    }
    if (error == 0) {
      walk.dialled = true;
      start_handshake(handshake);
      set_deadline(handshake, handshake.attempt_end);
      return {Dialled::State::under_way, 0, connected};
    }
    if (error == EAGAIN && address.storage.ss_family == AF_UNIX) {
      if (now() < handshake.attempt_end) {
        walk.waiting = true;
        walk.used = false;
        set_deadline(handshake, now() + queue_pause);
        return {Dialled::State::later, 0};
      }
      error = ETIMEDOUT;
    }
    if (!attempt_failed(handshake, error, "it cannot be reached")) {
      return {Dialled::State::none_left, as_connect_says(error)};
    }
  }
}

}  // namespace socks64::shim
