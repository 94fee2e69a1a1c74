// Which sockets of an io_context are ready: an epoll set of our own, inside Asio's.
//
// Asio 1.22 has no wait without a system call: each async_wait() of a socket is an
// epoll_ctl(EPOLL_CTL_MOD), which also reports anew whatever else is ready, and closing a socket
// that was accepted or opened by us is another one. For a relay, whose life is "wait, read, write,
// wait", that is a fifth of its system calls. Here a socket is registered once, edge-triggered,
// when it first waits, and leaves by being closed. The set itself is one descriptor that Asio waits
// for, so timers, posts and sockets share one loop, and what a loop costs is divided by the number
// of sockets that were ready. docs/decisions/0010-readiness.md has the figures.
//
// An edge says that something has changed since the last one, not that something is there. So
// a waiter says whether it left the socket drained; if not, the socket is asked (poll(2)).
//
// For the thread of the io_context alone.
#ifndef SOCKS64_GATEWAYD_READINESS_HPP
#define SOCKS64_GATEWAYD_READINESS_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <sys/epoll.h>
#include <system_error>
#include <vector>

#include <asio/error_code.hpp>
#include <asio/execution_context.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/basic_stream_descriptor.hpp>

#include "loop/op_memory.hpp"

namespace socks64::gateway {

enum class Ready : std::uint8_t {
  read,   ///< octets, a connection, a datagram, EOF, or an error
  write,  ///< room, or an error
  error,  ///< an error, or closed both ways (EPOLLHUP)
};

/// One who waits. Memory is the waiter's own, so waiting allocates nothing.
class WaitOp {
 public:
  WaitOp() = default;
  WaitOp(const WaitOp&) = delete;
  WaitOp& operator=(const WaitOp&) = delete;

  /// Called once for each wait, from the event loop, never from within the call that began it.
  /// asio::error::operation_aborted: cancelled; another error: the socket cannot be waited for.
  virtual void ready(const asio::error_code& error) = 0;
  /// Instead of ready(), when the io_context is being destroyed.
  virtual void discard() noexcept = 0;

 protected:
  virtual ~WaitOp() = default;

 private:
  friend class Readiness;

  int error_ = 0;  ///< an errno, once it is due
  bool due_ = false;
  WaitOp* previous_ = nullptr;  ///< among those that are due
  WaitOp* next_ = nullptr;
};

class Readiness final : public asio::execution_context::service {
 public:
  using key_type = Readiness;
  static asio::execution_context::id id;

  /// A socket's place in the set. Handed out without a system call.
  using Place = std::uint32_t;

  explicit Readiness(asio::execution_context& context);
  static Readiness& of(asio::io_context& context) { return asio::use_service<Readiness>(context); }

  [[nodiscard]] Place enter();
  /// The socket is about to be closed, or (`still_open`) goes on elsewhere. Its waits are
  /// cancelled.
  void leave(Place place, int fd, bool still_open) noexcept;

  /// One wait of each kind at a time. `drained`: the last call that could have told - a read, an
  /// accept - found nothing, or less than it had room for.
  void wait(Place place, int fd, Ready what, WaitOp& op, bool drained) noexcept;
  void cancel(Place place) noexcept;
  /// Cancels this one, if it still waits.
  void cancel(Place place, Ready what, WaitOp& op) noexcept;
  /// Of a socket that cannot be waited for: `op` will hear so, by an errno.
  void refuse(WaitOp& op, int error) noexcept { make_due(op, error); }
  /// As if this wait had never begun.
  void withdraw(Place place, Ready what, WaitOp& op) noexcept;

 private:
  struct Member {
    std::array<WaitOp*, 3> waiting{};
    std::uint32_t generation = 0;  ///< another one each time that the place is taken
    std::uint32_t interest = 0;    ///< what epoll was asked for; 0: not registered
    std::uint8_t edges = 0;        ///< seen, and nobody was waiting
    /// EOF, urgent data or an error was seen: a read may be short now though more is there.
    bool doubtful = false;
  };
  using SetDescriptor = asio::posix::basic_stream_descriptor<asio::io_context::executor_type>;

  void shutdown() override;
  bool ask_for(Place place, int fd, std::uint32_t events) noexcept;
  void make_due(WaitOp& op, int error) noexcept;
  void unlink(WaitOp& op) noexcept;
  void notice(const epoll_event& event) noexcept;
  static void call(WaitOp& op, int error) noexcept;
  void run_due() noexcept;
  [[nodiscard]] bool worth_another_look(int got) noexcept;
  void collect() noexcept;
  void keep_awake() noexcept;
  void kick() noexcept;

  OpMemory kick_memory_;
  OpMemory wait_memory_;
  /// The epoll set, which Asio watches, and closes in the end.
  SetDescriptor set_;
  std::deque<Member> members_;
  std::vector<Place> free_;
  std::size_t waiting_ = 0;
  WaitOp* first_due_ = nullptr;
  WaitOp* last_due_ = nullptr;
  std::size_t due_ = 0;
  unsigned looks_left_ = 0;
  unsigned turns_without_look_ = 0;
  bool armed_ = false;       ///< Asio waits for the set
  bool kicked_ = false;      ///< a turn has been posted
  bool collecting_ = false;  ///< ... or is under way
};

}  // namespace socks64::gateway

#endif
