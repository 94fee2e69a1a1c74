#include "bind/peer_wait.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <utility>

#include <asio/this_coro.hpp>

#include "socks64/sockaddr.hpp"

#include "base/socket_option.hpp"

namespace socks64::gateway {
namespace {

using namespace std::chrono_literals;

// Then the worker's other sessions get their turn: whoever floods the port pays for each
// connection with a handshake, and we with two calls.
constexpr int accepts_per_turn = 32;
// Nothing tells us when a descriptor becomes free.
constexpr auto descriptor_pause = 50ms;
// How long a client may be gone unnoticed behind a full buffer.
constexpr auto client_recheck = 250ms;
constexpr std::size_t piece_size = 4096;

void reset(Descriptor socket) noexcept {
  const linger now{1, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

/// As in dial.cpp: the coroutine waits for one timer, everything else arrives as callbacks, which
/// hold no reference that could dangle, change the state and wake it.
class Watch : public std::enable_shared_from_this<Watch> {
 public:
  using End = PeerArrival::End;

  Watch(const Executor& executor, Socket& client, std::vector<std::uint8_t>& early,
        const AddressFilter& is_right, Descriptor door)
      : wake(executor),
        door_(executor, std::move(door)),
        client_(client),
        early_(early),
        is_right_(is_right) {}

  void start();
  /// Does what is due, and says when it is to be called next.
  Clock::time_point look(Clock::time_point now);
  void take_arrivals();
  /// The first end stands.
  void end(End why) noexcept;
  void close() noexcept;

  [[nodiscard]] bool over() const noexcept { return over_; }
  [[nodiscard]] PeerArrival& arrival() noexcept { return arrival_; }

  Timer wake;

 private:
  void watch_door();
  void watch_client();
  void hear_client();
  void receive(Descriptor socket, const Endpoint& from);

  Socket door_;
  Socket& client_;
  std::vector<std::uint8_t>& early_;
  const AddressFilter& is_right_;
  std::optional<Clock::time_point> door_again_;    ///< accepting pauses until then
  std::optional<Clock::time_point> client_again_;  ///< reading has stopped; when to poll
  PeerArrival arrival_;
  bool over_ = false;
};

void Watch::start() {
  watch_door();
  watch_client();
}

void Watch::end(End why) noexcept {
  if (over_) {
    return;
  }
  over_ = true;
  arrival_.end = why;
  wake.cancel();
}

void Watch::close() noexcept {
  over_ = true;
  door_.close();
  client_.cancel();
}

void Watch::watch_door() {
  door_.async_wait(Ready::read, [watch = weak_from_this()](const asio::error_code& error) {
    const std::shared_ptr<Watch> alive = watch.lock();
    if (!alive || alive->over_) {
      return;
    }
    if (error) {
      return alive->end(End::no_resources);
    }
    alive->take_arrivals();
    if (!alive->over_ && !alive->door_again_) {
      alive->watch_door();
    }
  });
}

void Watch::receive(Descriptor socket, const Endpoint& from) {
  if (!is_right_(from)) {
    return reset(std::move(socket));
  }
  set_option(socket.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  arrival_.remote = from;
  arrival_.socket.emplace(wake.get_executor(), std::move(socket));
  end(End::peer);
}

void Watch::take_arrivals() {
  for (int i = 0; i < accepts_per_turn && !over_; ++i) {
    sockaddr_storage name{};
    socklen_t length = sizeof name;
    auto* const address = reinterpret_cast<sockaddr*>(&name);
    Descriptor socket(
        ::accept4(door_.native_handle(), address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) {
      const int error = errno;
      if (error == EAGAIN || error == EBADF || error == EINVAL) {
        return;
      }
      if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
        door_again_ = Clock::now() + descriptor_pause;
        wake.cancel();
        return;
      }
      continue;  // ECONNABORTED and the pending network errors of accept(2): that one is gone
    }
    ++arrival_.connections;
    const Result<Endpoint> from = from_sockaddr(address, length);
    if (from) {
      receive(std::move(socket), *from);
    }
  }
}

void Watch::watch_client() {
  client_.async_wait(Ready::read, [watch = weak_from_this()](const asio::error_code& error) {
    const std::shared_ptr<Watch> alive = watch.lock();
    if (!error && alive && !alive->over_) {
      alive->hear_client();
    }
  });
}

/// One piece per wake-up: a client that pours must not keep the worker.
void Watch::hear_client() {
  std::array<std::uint8_t, piece_size> piece;
  const std::size_t room = std::min(piece.size(), most_early_octets - early_.size());
  if (room == 0) {
    client_again_ = Clock::now() + client_recheck;
    wake.cancel();
    return;
  }
  const ssize_t got = ::recv(client_.native_handle(), piece.data(), room, MSG_DONTWAIT);
  if (got == 0) {
    return end(End::client_ended);
  }
  if (got < 0 && errno != EAGAIN && errno != EINTR) {
    return end(End::client_reset);
  }
  if (got > 0) {
    early_.insert(early_.end(), piece.begin(), piece.begin() + got);
  }
  watch_client();
}

Clock::time_point Watch::look(Clock::time_point now) {
  if (door_again_ && *door_again_ <= now) {
    door_again_.reset();
    watch_door();
  }
  if (client_again_ && *client_again_ <= now) {
    client_again_ = now + client_recheck;
    // Not read: behind the octets that wait there, only the kernel sees the end.
    pollfd state{client_.native_handle(), POLLRDHUP, 0};
    if (::poll(&state, 1, 0) > 0) {
      end((state.revents & POLLERR) != 0 ? End::client_reset : End::client_ended);
    }
  }
  return std::min(door_again_.value_or(Clock::time_point::max()),
                  client_again_.value_or(Clock::time_point::max()));
}

/// Nothing is under way on the client's socket, and the port is free, however the coroutine ends.
class EndOfWatch {
 public:
  explicit EndOfWatch(Watch& watch) noexcept : watch_(watch) {}
  ~EndOfWatch() { watch_.close(); }
  EndOfWatch(const EndOfWatch&) = delete;
  EndOfWatch& operator=(const EndOfWatch&) = delete;

 private:
  Watch& watch_;
};

}  // namespace

Task<PeerArrival> wait_for_peer(Socket& client, std::vector<std::uint8_t>& early,
                                Rendezvous& rendezvous, const AddressFilter& is_right,
                                std::chrono::milliseconds timeout) {
  const Executor executor = co_await asio::this_coro::executor;
  const Clock::time_point began = Clock::now();
  const Clock::time_point deadline = began + timeout;
  const auto watch =
      std::make_shared<Watch>(executor, client, early, is_right, std::move(rendezvous.socket));
  const EndOfWatch end(*watch);
  PeerArrival& arrival = watch->arrival();
  watch->start();
  while (!watch->over()) {
    // Looked at before every wait, as in dial.cpp.
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    const Clock::time_point now = Clock::now();
    if (state.cancelled() != asio::cancellation_type::none) {
      watch->end(PeerArrival::End::cancelled);
    } else if (now >= deadline) {
      // The peer may have come while this worker was busy elsewhere.
      watch->take_arrivals();
      watch->end(PeerArrival::End::timed_out);
    } else {
      const Clock::time_point next = std::min(watch->look(now), deadline);
      if (watch->over()) {
        continue;
      }
      watch->wake.expires_at(next);
      const auto [error] = co_await watch->wake.async_wait(as_result);
      static_cast<void>(error);
    }
  }
  arrival.time = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began);
  co_return std::move(arrival);
}

}  // namespace socks64::gateway
