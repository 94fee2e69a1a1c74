#include "accept/listener.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "socks64/sockaddr.hpp"

#include "base/keep_alive.hpp"
#include "base/log.hpp"
#include "base/socket_option.hpp"

namespace socks64::gateway {
namespace {

constexpr int backlog = 4096;   // the kernel lowers it to net.core.somaxconn
constexpr int batch_size = 64;  // connections from one listener before the others get their turn

// Nothing tells us when a descriptor becomes free, in this process or (ENFILE) in another.
constexpr std::chrono::milliseconds descriptor_pause{50};
constexpr std::chrono::milliseconds session_pause{10};
constexpr std::chrono::seconds warning_interval{10};
constexpr std::chrono::seconds patience_without_descriptors{1};

/// Closes so that the kernel sends RST and forgets the connection.
void reset(Descriptor& socket) noexcept {
  const linger abort{1, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  socket.close();
}

ListeningSocket failed(const ListenAddress& address, int error) {
  ListeningSocket result;
  std::string_view hint;
  if (error == EACCES && address.endpoint.port != 0 && address.endpoint.port < 1024) {
    hint = " (a port below 1024 needs root or CAP_NET_BIND_SERVICE)";
  }
  result.error =
      fmt::format("cannot listen on {}: {}{}", address.text(), std::strerror(error), hint);
  return result;
}

ListeningSocket open_at_path(const ListenAddress& address, mode_t mode) {
  UnixListeningSocket opened = open_unix_listener(address.path, mode, backlog);
  ListeningSocket result;
  if (!opened.socket) {
    result.error = fmt::format("cannot listen on {}: {}", address.text(), opened.error);
    return result;
  }
  result.socket = std::move(opened.socket);
  result.local = address;
  result.file = std::move(opened.file);
  return result;
}

}  // namespace

ListeningSocket open_listener(const ListenAddress& address, mode_t mode) {
  if (address.is_unix()) {
    return open_at_path(address, mode);
  }
  const Endpoint& wanted = address.endpoint;
  const int family = wanted.address.is_v4() ? AF_INET : AF_INET6;
  Descriptor socket(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) {
    return failed(address, errno);
  }
  const int fd = socket.get();
  sockaddr_storage name{};
  const socklen_t size = to_sockaddr(wanted, name);
  // SO_REUSEADDR: a restart need not wait for the TIME_WAIT of the last run. It does not let two
  // listeners share a port.
  if (!set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) ||
      (family == AF_INET6 && !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) ||
      !set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) ||
      !set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1) || !keep_alive(fd) ||
      ::bind(fd, reinterpret_cast<const sockaddr*>(&name), size) != 0 ||
      ::listen(fd, backlog) != 0) {
    return failed(address, errno);
  }
  socklen_t length = sizeof name;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length) != 0) {
    return failed(address, errno);
  }
  ListeningSocket result;
  result.local = from_sockaddr(reinterpret_cast<const sockaddr*>(&name), length).value_or(wanted);
  result.socket = std::move(socket);
  return result;
}

Listener::Listener(const Executor& executor, ListeningSocket listening, SessionLimit& limit,
                   ClientTable& clients, Log& log, Deliver deliver)
    : acceptor_(executor, std::move(listening.socket)),
      pause_(executor),
      local_(std::move(listening.local)),
      name_(local_.text()),
      file_(std::move(listening.file)),
      index_(listening.index),
      limit_(limit),
      clients_(clients),
      log_(log),
      deliver_(std::move(deliver)) {
  open_reserve();
}

bool Listener::hand_over(Accepted accepted) noexcept {
  try {
    deliver_(std::move(accepted));
    return true;
  } catch (...) {
    report_escape("accepting a connection", std::current_exception());
    return false;
  }
}

Listener::Outcome Listener::accept_some() noexcept {
  for (int i = 0; i < batch_size; ++i) {
    // For accept4(2) finding nobody is half as dear as finding somebody.
    if (i > 0 && !somebody_waits()) {
      return Outcome::drained;
    }
    // First the right to a session, then the connection: one that cannot be served yet stays in the
    // kernel's queue, where it costs us nothing.
    std::optional<SessionLimit::Ticket> ticket = limit_.admit();
    if (!ticket) {
      // Behind others that were taken, there may be nobody who waits.
      return i == 0 ? Outcome::no_session : Outcome::batch_full;
    }
    Accepted accepted;
    accepted.session = std::move(*ticket);
    const bool known = accept_one(accepted);
    if (!accepted.socket) {
      switch (errno) {
        case EAGAIN:
          return Outcome::drained;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
          return Outcome::no_descriptor;
        case EBADF:
        case EINVAL:
          return Outcome::closed;
        default:
          continue;  // ECONNABORTED and the pending network errors of accept(2): that one is gone
      }
    }
    starved_since_ = Clock::time_point::max();
    if (known && admit(accepted) && !hand_over(std::move(accepted))) {
      return Outcome::no_memory;
    }
  }
  return Outcome::batch_full;
}

bool Listener::somebody_waits() const noexcept {
  pollfd state{acceptor_.native_handle(), POLLIN, 0};
  return ::poll(&state, 1, 0) != 0;
}

bool Listener::accept_one(Accepted& accepted) noexcept {
  sockaddr_storage name{};
  socklen_t length = sizeof name;
  accepted.socket =
      Descriptor(::accept4(acceptor_.native_handle(), reinterpret_cast<sockaddr*>(&name), &length,
                           SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!accepted.socket) {
    return false;
  }
  accepted.arrival.time = std::chrono::system_clock::now();
  accepted.arrival.began = Clock::now();
  accepted.listener = index_;
  if (local_.is_unix()) {
    const int fd = accepted.socket.get();
    set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1);  // not inherited, unlike TCP's
    const std::optional<Client> client = unix_client(fd);
    accepted.arrival.client = client.value_or(Client());
    return client.has_value();
  }
  const Result<Endpoint> from = from_sockaddr(reinterpret_cast<const sockaddr*>(&name), length);
  accepted.arrival.client = from.value_or(Endpoint());
  return from.has_value();
}

/// Who has too much is refused at once, by RST: what costs us least, and leaves no state behind.
/// There is no session then, so no record of one, but a line in the log now and then that counts.
bool Listener::admit(Accepted& accepted) noexcept {
  if (clients_.admit(accepted.arrival.client, accepted.of_client, accepted.arrival.began) ==
      ClientTable::Verdict::admitted) {
    return true;
  }
  reset(accepted.socket);
  try {
    if (const auto refusals = clients_.report_refusals(accepted.arrival.began)) {
      log_.warning("{}", refusals->text());
    }
  } catch (...) {
    report_escape("counting refused clients", std::current_exception());
  }
  return false;
}

void Listener::open_reserve() noexcept {
  if (!reserve_) {
    reserve_ = Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  }
}

void Listener::shed() noexcept {
  reserve_.close();
  for (int i = 0; i < batch_size; ++i) {
    Accepted refused;
    (void)accept_one(refused);
    if (!refused.socket) {
      break;
    }
    reset(refused.socket);
    ++shed_;
  }
  open_reserve();
}

Task<> Listener::pause(Outcome why) {
  const Clock::time_point now = Clock::now();
  if (last_warning_ == Clock::time_point{} || now - last_warning_ >= warning_interval) {
    last_warning_ = now;
    log_.warning(
        "{} accepts no connections for a moment: {}; {} sessions are open{}", name_,
        why == Outcome::no_session ? "limits.sessions is reached" : "descriptors or memory ran out",
        limit_.count(), shed_ == 0 ? "" : fmt::format("; {} connections were refused", shed_));
    shed_ = 0;
  }
  if (why == Outcome::no_session) {
    limit_.somebody_waits();
  } else if (why == Outcome::no_descriptor) {
    starved_since_ = std::min(starved_since_, now);
    if (now - starved_since_ >= patience_without_descriptors) {
      shed();
    }
  }
  pause_.expires_after(why == Outcome::no_session ? session_pause : descriptor_pause);
  const auto [error] = co_await pause_.async_wait(as_result);
  (void)error;
}

Task<> Listener::accept_until_closed() {
  bool drained = false;
  while (acceptor_.is_open()) {
    const auto [error] = co_await acceptor_.async_wait(Ready::read, as_result, drained);
    if (!acceptor_.is_open()) {
      co_return;
    }
    // The kernel has no memory for the wait, or no watch is left (fs.epoll.max_user_watches).
    const Outcome outcome = error ? Outcome::no_memory : accept_some();
    drained = outcome == Outcome::drained;
    if (outcome == Outcome::closed) {
      log_.error("the listener {} has failed and accepts no more connections", name_);
      co_return;
    }
    if (outcome == Outcome::no_session || outcome == Outcome::no_descriptor ||
        outcome == Outcome::no_memory) {
      co_await pause(outcome);
    }
  }
}

// A listener whose coroutine has ended is worse than none: its socket still takes clients into the
// kernel's queue, and nobody ever comes for them. So nothing but close() ends this one.
Task<> Listener::accept_connections() {
  bool over = false;
  while (!over) {
    try {
      co_await accept_until_closed();
      over = true;
    } catch (...) {
      report_escape("listener", std::current_exception());
    }
    // Memory ran out, so there may be none for a timer either. This thread's sessions stand still
    // meanwhile, and give the others the time to end some of theirs.
    if (!over) {
      std::this_thread::sleep_for(descriptor_pause);
    }
  }
}

void Listener::close() {
  file_.remove();  // first: whoever comes now finds no gateway, instead of one that goes away
  // No more than the queue may hold by now: who keeps coming must not keep us from ending.
  constexpr int batches = backlog / batch_size + 1;
  for (int i = 0; i < batches && accept_some() == Outcome::batch_full; ++i) {
  }
  acceptor_.close();
  pause_.cancel();
}

}  // namespace socks64::gateway
