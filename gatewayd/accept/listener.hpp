// Stage 1: accept.
//
// One listening socket for each address, accepted from by the first worker, which hands each
// connection to the worker with the fewest sessions, itself included. Not by a thread of its own:
// with few processors it would take them from the workers, and cost two context switches and a
// wake-up for every connection (20 us of CPU and more; docs/decisions/0009-tried-and-rejected.md,
// part 2, and 0010-readiness.md). Not SO_REUSEPORT with a socket for each worker, because
// - the kernel would then deal connections out by hash, and a worker with three bulk relays more
//   than its neighbour stays that way for as long as they last;
// - closing one of several such sockets drops what waits in its queue, and a worker that hangs
//   keeps its share of new clients hanging;
// - a second gatewayd of the same user would start on the same port without a word.
// What accepting counts is touched by that one thread, so it needs no lock.
#ifndef SOCKS64_GATEWAYD_LISTENER_HPP
#define SOCKS64_GATEWAYD_LISTENER_HPP

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "socks64/address.hpp"

#include "accept/accepted.hpp"
#include "accept/client_limits.hpp"
#include "accept/limits.hpp"
#include "base/descriptor.hpp"
#include "base/unix_socket.hpp"
#include "loop/net.hpp"
#include "settings/listen_address.hpp"

namespace socks64::gateway {

class Log;

struct ListeningSocket {
  Descriptor socket;
  ListenAddress local;    ///< with the port that was chosen when 0 was asked for
  SocketFile file;        ///< of a UNIX socket
  std::size_t index = 0;  ///< of the listener in Config::listeners
  std::string error;      ///< set when there is no socket: one line, naming the address
};

/// Binds and listens. What sessions need of their sockets - TCP_NODELAY, keep-alive - is set here
/// once: accepted sockets inherit it. IPv6 sockets take IPv6 alone (IPV6_V6ONLY), so that an
/// address always means what it says and no client ever shows up as ::ffff:a.b.c.d.
/// A UNIX socket has none of these options; its file gets `mode`.
[[nodiscard]] ListeningSocket open_listener(const ListenAddress& address,
                                            mode_t mode = default_socket_mode);

class Listener {
 public:
  using Deliver = std::function<void(Accepted)>;

  Listener(const Executor& executor, ListeningSocket listening, SessionLimit& limit,
           ClientTable& clients, Log& log, Deliver deliver);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  [[nodiscard]] const Endpoint& local() const noexcept { return local_.endpoint; }
  /// As the log calls it.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  /// Runs until close(). When descriptors, memory or sessions are used up it pauses: clients wait
  /// in the kernel's queue, and the loop does not spin. When no descriptor has come free for a
  /// second, those who wait are refused with the help of the reserve descriptor, instead of hanging
  /// for as long as others please.
  [[nodiscard]] Task<> accept_connections();
  /// Delivers what the kernel has completed already - these clients think they are connected - and
  /// closes; without regard to how many go on coming meanwhile.
  void close();

 private:
  enum class Outcome : std::uint8_t {
    drained,
    batch_full,
    no_session,
    no_descriptor,
    no_memory,
    closed
  };

  [[nodiscard]] Outcome accept_some() noexcept;
  [[nodiscard]] bool somebody_waits() const noexcept;
  /// accept4(2), when and who it is; no socket, with errno, when there is none. False also for a
  /// client that cannot be told.
  [[nodiscard]] bool accept_one(Accepted& accepted) noexcept;
  [[nodiscard]] bool admit(Accepted& accepted) noexcept;
  void shed() noexcept;
  void open_reserve() noexcept;
  [[nodiscard]] bool hand_over(Accepted accepted) noexcept;
  [[nodiscard]] Task<> accept_until_closed();
  [[nodiscard]] Task<> pause(Outcome why);

  Socket acceptor_;
  Timer pause_;
  ListenAddress local_;
  std::string name_;
  SocketFile file_;
  const std::size_t index_;
  SessionLimit& limit_;
  ClientTable& clients_;
  Log& log_;
  Deliver deliver_;
  Clock::time_point last_warning_{};
  Descriptor reserve_;  ///< given up for a moment to accept, and refuse, when there is no other
  Clock::time_point starved_since_ = Clock::time_point::max();  ///< no descriptor since then
  std::uint64_t shed_ = 0;                                      ///< refused by the reserve
};

}  // namespace socks64::gateway

#endif
