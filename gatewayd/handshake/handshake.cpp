#include "handshake/handshake.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <string.h>  // NOLINT(modernize-deprecated-headers): explicit_bzero is not in <cstring>
#include <sys/socket.h>
#include <utility>

#include <asio/error.hpp>
#include <asio/this_coro.hpp>

#include "base/log.hpp"

namespace socks64::gateway {
namespace {

/// The REP of the reply that the machine writes by itself; see ServerHandshake::error().
std::optional<ReplyCode> reply_for(Errc error) noexcept {
  switch (error) {
    case Errc::bad_command:
      return ReplyCode::command_not_supported;
    case Errc::bad_address_type:
      return ReplyCode::address_type_not_supported;
    case Errc::bad_name:
      return ReplyCode::general_failure;
    default:
      return std::nullopt;
  }
}

/// The same in SOCKS4, where every refusal is a reply, and 91.
std::optional<ReplyCode> socks4_reply_for(Errc error) noexcept {
  if (error == Errc::no_acceptable_method) {
    return ReplyCode::not_allowed;
  }
  if (error == Errc::bad_credentials) {
    return ReplyCode::general_failure;
  }
  return reply_for(error);
}

/// Sends what the machine has to say; false when the connection is broken.
bool send_output(Socket& client, ServerHandshake& machine, HandshakeResult& result) noexcept {
  const Bytes output = machine.output();
  if (output.empty()) {
    return true;
  }
  if (!send_now(client, output)) {
    return false;
  }
  machine.sent(output.size());
  if (machine.state() == ServerHandshake::State::failed) {
    result.reply =
        machine.is_socks4() ? socks4_reply_for(machine.error()) : reply_for(machine.error());
    result.answered = true;
  }
  return true;
}

/// What the session ends with when it came no further than the machine did.
void note_failure(const ServerHandshake& machine, const Reception& reception, std::string_view user,
                  HandshakeResult& result) {
  result.end = HandshakeEnd::refused;
  result.error = machine.error();
  const bool must_log_in = std::find(reception.methods.begin(), reception.methods.end(),
                                     Method::none) == reception.methods.end();
  if (result.error == Errc::no_acceptable_method && must_log_in) {
    result.auth = AuthResult::no_acceptable_method;
  }
  if (result.auth != AuthResult::good) {
    result.end = HandshakeEnd::auth_failed;
    reception.services.log.warning("{}", failure_line(user, reception.from, result.auth));
  }
}

}  // namespace

bool send_now(Socket& client, Bytes message) noexcept {
  while (!message.empty()) {
    const ssize_t sent =
        ::send(client.native_handle(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      message = message.subspan(static_cast<std::size_t>(sent));
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

Task<HandshakeResult> handshake(Socket& client, const Reception& reception) {
  HandshakeResult result;
  ServerHandshake machine{reception.methods, reception.options};
  std::array<std::uint8_t, 1024> buffer;
  DeadlineQueue::Entry deadline(reception.deadlines, client);
  std::string user;

  while (machine.state() == ServerHandshake::State::reading) {
    // A read that finds octets completes at once, and a cancellation that comes while its
    // completion is on its way through the queue finds nothing to cancel. The state remembers it.
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      result.end = HandshakeEnd::cancelled;
      co_return result;
    }
    const ssize_t got = ::recv(client.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
      // It may have expired while a wake-up in vain was on its way: then nothing was cancelled, and
      // nobody would cancel the next wait.
      if (deadline.expired()) {
        result.end = HandshakeEnd::timed_out;
        co_return result;
      }
      const auto [error] = co_await client.async_wait(Ready::read, as_result, errno == EAGAIN);
      if (!error) {
        continue;
      }
      result.end = deadline.expired()                        ? HandshakeEnd::timed_out
                   : error == asio::error::operation_aborted ? HandshakeEnd::cancelled
                                                             : HandshakeEnd::reset;
      co_return result;
    }
    if (got <= 0) {
      result.end = got == 0 ? HandshakeEnd::closed : HandshakeEnd::reset;
      co_return result;
    }
    const auto count = static_cast<std::size_t>(got);
    result.spoke = true;

    // Everything may come at once: greeting, password, request, early data.
    std::size_t position = 0;
    do {
      const std::size_t taken = machine.receive(Bytes(buffer).subspan(position, count - position));
      explicit_bzero(buffer.data() + position, taken);  // a password may have been there
      position += taken;
      result.socks4 = machine.is_socks4();
      if (!send_output(client, machine, result)) {
        result.end = HandshakeEnd::reset;
        co_return result;
      }
      if (machine.state() != ServerHandshake::State::check_credentials) {
        break;
      }
      const UserPass credentials = machine.credentials();
      user = credentials.user;
      result.auth = co_await authenticate(reception.services, reception.policy, reception.from,
                                          credentials, deadline);
      if (result.auth == AuthResult::interrupted) {
        result.end = deadline.expired() ? HandshakeEnd::timed_out : HandshakeEnd::cancelled;
        co_return result;
      }
      machine.authenticated(result.auth == AuthResult::good);
      if (!send_output(client, machine, result) && result.auth == AuthResult::good) {
        result.end = HandshakeEnd::reset;
        co_return result;
      }
    } while (machine.state() == ServerHandshake::State::reading);

    if (machine.state() == ServerHandshake::State::request_ready) {
      result.end = HandshakeEnd::request;
      result.user = std::move(user);
      result.request = machine.request();
      result.early.assign(buffer.begin() + static_cast<std::ptrdiff_t>(position),
                          buffer.begin() + static_cast<std::ptrdiff_t>(count));
      co_return result;
    }
    if (machine.state() == ServerHandshake::State::reading && deadline.expired()) {
      result.end = HandshakeEnd::timed_out;
      co_return result;
    }
  }
  note_failure(machine, reception, user, result);
  co_return result;
}

}  // namespace socks64::gateway
