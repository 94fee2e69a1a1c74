// One socket that goes through the gateway, and the handshake it may be in.
#ifndef SOCKS64_SHIM_CONNECTION_HPP
#define SOCKS64_SHIM_CONNECTION_HPP

#include <array>
#include <atomic>
#include <cstdint>
#include <ctime>
#include <netinet/in.h>
#include <optional>
#include <poll.h>
#include <sys/types.h>

#include "socks64/address.hpp"
#include "socks64/client_handshake.hpp"

#include "descriptors/gateway_walk.hpp"
#include "host/host_guard.hpp"

namespace socks64::shim {

[[nodiscard]] inline timespec to_timespec(Nanoseconds time) noexcept {
  return {static_cast<time_t>(time / nanoseconds_per_second),
          static_cast<long>(time % nanoseconds_per_second)};
}

/// A handshake under way. It lives in memory shared over fork, because parent and child then hold
/// the same socket: whoever advances it, both must see how far it is. All-zero is a valid, unused
/// slot.
struct PendingHandshake {
  WordLock lock;                             ///< guards what follows
  std::atomic<std::uint32_t> generation{0};  ///< another one each time the slot changes hands
  std::atomic<bool> inherited{false};        ///< a fork happened: another process may go on with it
  ino_t inode = 0;              ///< of the socket it speaks on: a relative may have an older one
  Nanoseconds started = 0;      ///< for diagnostics
  Nanoseconds deadline = 0;     ///< when somebody has to look at it again at the latest
  Nanoseconds attempt_end = 0;  ///< of the gateway in hand
  Nanoseconds end = 0;          ///< of the whole connect
  Target target;
  GatewayWalk walk;
  std::optional<ClientHandshake> machine;
  std::uint32_t next_abandoned = 0;  ///< see FdTable::reserve(); index + 1
};

enum class ConnectionState : std::uint8_t {
  pending,      ///< the handshake is under way
  established,  ///< the destination is reached: the socket is the program's
  failed,       ///< it failed and the program has not been told yet
  spent,        ///< it failed and the program knows: as if it had never been
};

struct SwappedSocket;

/// Shared by the duplicates of a socket, private to the process.
struct Connection {
  std::atomic<ConnectionState> state{ConnectionState::pending};
  std::atomic<bool> reported{false};  ///< connect() has returned 0 for it: from now on EISCONN
  bool program_bound = false;         ///< the program chose the local port itself
  /// The file has dialled an IPv4-mapped address: Linux never lets it dial IPv6 again (its packets
  /// go nowhere, also after connect(AF_UNSPEC)).
  bool dialled_mapped = false;
  bool v6only_cleared = false;  ///< IPV6_V6ONLY was on, and had to go for an IPv4 gateway
  std::uint8_t dialled_size = 0;
  std::array<std::uint8_t, sizeof(sockaddr_in6)> dialled{};  ///< the address as the program gave it
  Port bound_port = 0;                                       ///< BND.PORT
  std::atomic<int> error{0};                                 ///< for `failed`
  std::uint32_t references = 0;                              ///< descriptors of this process
  int fd = -1;                                               ///< one of them
  std::atomic<ino_t> inode{0};
  std::atomic<ino_t> former_inode{0};  ///< before the last swap; who looked then may still compare
  std::atomic<SwappedSocket*> swapped{nullptr};  ///< see socket_swap.hpp
  std::atomic<PendingHandshake*> handshake{nullptr};
  std::atomic<std::uint32_t> generation{0};  ///< of the handshake's slot when it was ours
  /// What the handshake waits for, POLLIN or POLLOUT; 0: nothing of the socket's. For waits that
  /// watch it without taking its lock.
  std::atomic<short> awaits{0};
  bool from_parent = false;  ///< the slot belongs to the process that we were forked from

  /// Whether a descriptor whose file has this inode can be the connection's.
  [[nodiscard]] bool has_inode(ino_t other) const noexcept {
    return other == inode.load(std::memory_order_acquire) ||
           (other == former_inode.load(std::memory_order_relaxed) && other != 0);
  }

  /// For a new use, except what makes it visible. Not constructed anew: a thread that is late may
  /// still look at the atomics, and finds it spent.
  void renew() noexcept {
    reported.store(false, std::memory_order_relaxed);
    program_bound = false;
    v6only_cleared = false;
    dialled_mapped = false;
    dialled_size = 0;
    bound_port = 0;
    error.store(0, std::memory_order_relaxed);
    references = 0;
    fd = -1;
    from_parent = false;
    awaits.store(POLLOUT, std::memory_order_relaxed);
    former_inode.store(0, std::memory_order_relaxed);
    swapped.store(nullptr, std::memory_order_relaxed);
  }
};

}  // namespace socks64::shim

#endif
