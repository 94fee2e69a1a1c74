#include "session.hpp"

#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <poll.h>
#include <sys/socket.h>
#include <utility>
#include <variant>
#include <vector>

#include <asio/this_coro.hpp>

#include "handshake.hpp"
#include "keep_alive.hpp"
#include "reply.hpp"

namespace socks64::gateway {
namespace {

SessionEnd end_of(const HandshakeResult& asked) noexcept {
  switch (asked.end) {
    case HandshakeEnd::request:
      break;
    case HandshakeEnd::refused:
      return SessionEnd::bad_handshake;
    case HandshakeEnd::closed:
    case HandshakeEnd::reset:
      return asked.spoke ? SessionEnd::bad_handshake : SessionEnd::no_handshake;
    case HandshakeEnd::timed_out:
      return SessionEnd::handshake_timeout;
    case HandshakeEnd::cancelled:
      return SessionEnd::shutdown;
  }
  return SessionEnd::internal;
}

bool is_look_up(Command command) noexcept {
  return command == Command::resolve || command == Command::resolve_ptr;
}

std::string_view reason_of(const HandshakeResult& asked) noexcept {
  switch (asked.end) {
    case HandshakeEnd::refused:
      return describe(asked.error);
    case HandshakeEnd::closed:
      return asked.spoke ? describe(Errc::truncated) : "";
    case HandshakeEnd::reset:
      return "connection reset";
    default:
      return "";
  }
}

SessionEnd end_of(RelayEnd end) noexcept {
  switch (end) {
    case RelayEnd::both_closed:
      return SessionEnd::both_closed;
    case RelayEnd::client_reset:
      return SessionEnd::client_reset;
    case RelayEnd::destination_reset:
      return SessionEnd::destination_reset;
    case RelayEnd::idle_timeout:
      return SessionEnd::idle_timeout;
    case RelayEnd::half_close_timeout:
      return SessionEnd::half_close_timeout;
    case RelayEnd::no_resources:
      return SessionEnd::no_resources;
    case RelayEnd::cancelled:
      break;
  }
  return SessionEnd::shutdown;
}

[[nodiscard]] bool send_reply(Socket& client, ReplyCode code, const Target& bound) noexcept {
  std::array<std::uint8_t, max_reply_size> octets{};
  Writer out(octets);
  encode(out, Reply{code, bound});
  return send_now(client, Bytes(octets).first(out.size()));
}

// While a target is dialled nothing is read from the client, so what happens to its connection has
// to be noticed otherwise. Two things can happen.
//
// A FIN says nothing: a client may send its request, its data and a FIN in one go and wait for the
// answer (`echo | nc` through SOCKS does), and one that has called close() looks the same until we
// send something. So a FIN is left for the relay, and a client that has truly gone costs at most
// one dial, which the connect timeout bounds.
//
// An RST is unmistakable, and cancels the dial. The kernel reports it as EPOLLERR and EPOLLHUP, for
// which Asio's wait_error stands; urgent data wakes that too (EPOLLPRI), so poll(2) decides. Urgent
// data that nobody reads would wake us for ever, so behind it we only look again every now and
// then.
//
// A UNIX socket has no RST, and does not need one: while we have not shut down anything, POLLHUP
// says that the client has closed its socket, and one that only said FIN shows none.
class ResetWatch : public std::enable_shared_from_this<ResetWatch> {
 public:
  ResetWatch(Socket& client, SessionControl& control)
      : client_(client), control_(control), look_again_(client.get_executor()) {}

  void start() {
    // A callback may come when the dial is over, and all that is referred to gone.
    client_.async_wait(Socket::wait_error,
                       [watch = weak_from_this()](const asio::error_code& error) {
                         const std::shared_ptr<ResetWatch> alive = watch.lock();
                         if (!error && alive) alive->look();
                       });
  }

 private:
  void look() {
    pollfd state{client_.native_handle(), 0, 0};
    if (::poll(&state, 1, 0) > 0 && (state.revents & (POLLERR | POLLHUP)) != 0) {
      return control_.stop(SessionControl::Stop::client_gone);
    }
    look_again_.expires_after(urgent_recheck);
    look_again_.async_wait([watch = weak_from_this()](const asio::error_code& error) {
      const std::shared_ptr<ResetWatch> alive = watch.lock();
      if (!error && alive) alive->start();
    });
  }

  static constexpr std::chrono::seconds urgent_recheck{1};

  Socket& client_;
  SessionControl& control_;
  Timer look_again_;
};

Task<DialResult> dial_for(Socket& client, SessionControl& control, const Target& target,
                          const SessionServices& services) {
  const auto watch = std::make_shared<ResetWatch>(client, control);
  watch->start();
  DialResult reached = co_await services.dialer.dial(target, services.permit);
  asio::error_code ignored;
  client.cancel(ignored);
  co_return reached;
}

Task<LookUpResult> look_up_for(Socket& client, SessionControl& control, Command command,
                               const Target& target, const LookUp& look_up) {
  const auto watch = std::make_shared<ResetWatch>(client, control);
  watch->start();
  LookUpResult result;
  if (command == Command::resolve) {
    result = co_await look_up.address_of(target);
  } else {
    result = co_await look_up.name_of(target);
  }
  asio::error_code ignored;
  client.cancel(ignored);
  co_return result;
}

/// Throws away what the client has sent, one piece of it; as recv(2).
ssize_t discard(int client) noexcept {
  // MSG_TRUNC: the kernel drops the octets of a TCP stream without copying them (tcp(7)). Those of
  // a UNIX stream it wants to copy.
  ssize_t dropped = ::recv(client, nullptr, std::size_t{1} << 20U, MSG_TRUNC | MSG_DONTWAIT);
  if (dropped < 0 && errno == EFAULT) {
    std::array<std::uint8_t, 16384> scrap;
    dropped = ::recv(client, scrap.data(), scrap.size(), MSG_DONTWAIT);
  }
  return dropped;
}

// RFC 1928 section 6: "the SOCKS server MUST terminate the TCP connection shortly after sending the
// [failing] reply. This must be no more than 10 seconds". Not at once, though: closing a socket
// that holds unread octets - the early data of a client that did not wait - sends an RST, and an
// RST destroys the reply that has not been read yet. So: FIN behind the reply, then throw away what
// the client still sends until it closes too, but no longer than the farewell deadline.
Task<> farewell(Socket& client, DeadlineQueue& deadlines) {
  const DeadlineQueue::Entry deadline(deadlines, client);
  ::shutdown(client.native_handle(), SHUT_WR);
  for (;;) {
    const ssize_t dropped = discard(client.native_handle());
    if (dropped == 0 || deadline.expired()) break;
    if (dropped < 0 && errno == EINTR) continue;
    if (dropped < 0 && errno != EAGAIN) break;
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) break;
    // One piece per wake-up also when more is there: a client that pours must not keep the worker.
    const auto [error] = co_await client.async_wait(Socket::wait_read, as_result);
    if (error) break;
  }
  asio::error_code ignored;
  client.close(ignored);
}

}  // namespace

Task<> session(Socket client, SessionControl& control, const SessionServices& services) {
  // Cancellation is a value here, as every failure is: what was waited for returns
  // operation_aborted, and control.stopped() says why.
  co_await asio::this_coro::throw_if_cancelled(false);

  OpenRecord& record = control.record();
  record->end = SessionEnd::internal;

  // Stage 3: what does the client want?
  std::vector<std::uint8_t> early;
  {
    HandshakeResult asked = co_await handshake(client, services.handshake_deadlines);
    if (asked.end != HandshakeEnd::request) {
      record->end = end_of(asked);
      record->reason = reason_of(asked);
      record->reply = asked.reply;
      record.stop_clock();
      if (asked.answered) {
        co_await farewell(client, services.farewell_deadlines);
      }
      co_return;
    }
    record->command = asked.request.command;
    record->target = asked.request.target;
    early = std::move(asked.early);
  }

  // ---- From here on there is a well-formed request, and the client is owed exactly one reply.
  // ----

  // Stage 7: reach the target. Every address is judged by services.permit right before it is
  // dialled.
  DialResult reached;
  LookUpResult found;
  Failure failure = Failure::none;
  std::optional<ReplyCode> refusal;
  if (record->command == Command::connect) {
    reached = co_await dial_for(client, control, *record->target, services);
    failure = reached.failure;
    record->attempts = reached.attempts;
    record->resolve_time = reached.resolve_time;
    record->connect_time = reached.connect_time;
    if (failure != Failure::none) {
      refusal = reply_code(failure);
      record->reason = describe(failure);
    }
  } else if (is_look_up(*record->command) && services.look_up != nullptr) {
    found =
        co_await look_up_for(client, control, *record->command, *record->target, *services.look_up);
    record->resolve_time = found.time;
    if (found.failure != Failure::none) {
      refusal = look_up_reply_code(found.failure);
      // BND.ADDR can be a name, DST.ADDR of RESOLVE_PTR cannot.
      if (record->command == Command::resolve_ptr && found.failure == Failure::name_invalid) {
        refusal = ReplyCode::address_type_not_supported;
      }
      record->reason = describe(found.failure);
    }
  } else {
    refusal = ReplyCode::command_not_supported;
    record->reason = "command-not-supported";
  }

  if (control.stopped() == SessionControl::Stop::client_gone) {
    record->end = SessionEnd::client_gone;
    record->reason = {};
    co_return;
  }
  if (control.stopped() == SessionControl::Stop::shutdown) {
    refusal = reply_code(Failure::shutting_down);
    record->reason = describe(Failure::shutting_down);
  }

  if (refusal) {
    record->end = SessionEnd::request_failed;
    record.stop_clock();
    // RFC 1928 section 6 gives BND.* no meaning in a failure: all zero, IPv4.
    const bool sent = send_reply(client, *refusal, Endpoint{});
    if (sent) {
      record->reply = *refusal;
    } else {
      record->end = SessionEnd::client_gone;
    }
    if (sent && control.stopped() == SessionControl::Stop::none) {
      co_await farewell(client, services.farewell_deadlines);
    }
    co_return;
  }

  // A look-up is done with its reply: nothing is connected, and the connection ends as after a
  // failing one.
  if (is_look_up(*record->command)) {
    if (const auto* address = std::get_if<Endpoint>(&found.found)) record->address = *address;
    record.stop_clock();
    if (!send_reply(client, ReplyCode::succeeded, found.found)) {
      record->end = SessionEnd::client_gone;
      co_return;
    }
    record->reply = ReplyCode::succeeded;
    record->end = SessionEnd::answered;
    co_await farewell(client, services.farewell_deadlines);
    co_return;
  }

  // ---- From here on the destination is connected: only now may the client hear of success.
  // -------

  record->address = reached.remote;
  // As on the client's side: a destination that has vanished is not to hold a session for ever.
  keep_alive(reached.socket->native_handle());
  if (!send_reply(client, ReplyCode::succeeded, reached.local)) {
    record->end = SessionEnd::client_gone;
    co_return;
  }
  record->reply = ReplyCode::succeeded;

  // Stage 8: carry octets until both sides are done.
  const RelayReport carried =
      co_await relay(client, *reached.socket, early, services.relay_limits, services.relay_pool);
  record->octets_up = carried.octets_up;
  record->octets_down = carried.octets_down;
  record->end = end_of(carried.end);
}

}  // namespace socks64::gateway
