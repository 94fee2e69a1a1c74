#include "handshake.hpp"

#include <array>
#include <cerrno>
#include <sys/socket.h>

#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/this_coro.hpp>

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
  if (error == Errc::no_acceptable_method) return ReplyCode::not_allowed;
  if (error == Errc::bad_credentials) return ReplyCode::general_failure;
  return reply_for(error);
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

Task<HandshakeResult> handshake(Socket& client, DeadlineQueue& deadlines,
                                ServerHandshake::Options options) {
  constexpr std::array accepted{Method::none};
  HandshakeResult result;
  ServerHandshake machine{accepted, options};
  std::array<std::uint8_t, 1024> buffer;
  const DeadlineQueue::Entry deadline(deadlines, client);

  while (machine.state() == ServerHandshake::State::reading) {
    // A read that finds octets completes at once, and a cancellation that comes while its
    // completion is on its way through the queue finds nothing to cancel. The state remembers it.
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      result.end = HandshakeEnd::cancelled;
      co_return result;
    }
    const auto [error, count] = co_await client.async_read_some(asio::buffer(buffer), as_result);
    if (error) {
      result.end = deadline.expired()                        ? HandshakeEnd::timed_out
                   : error == asio::error::operation_aborted ? HandshakeEnd::cancelled
                   : error == asio::error::eof               ? HandshakeEnd::closed
                                                             : HandshakeEnd::reset;
      co_return result;
    }
    result.spoke = true;
    const Bytes received{buffer.data(), count};
    const std::size_t taken = machine.receive(received);
    result.socks4 = machine.is_socks4();

    if (!machine.output().empty()) {
      if (!send_now(client, machine.output())) {
        result.end = HandshakeEnd::reset;
        co_return result;
      }
      machine.sent(machine.output().size());
      if (machine.state() == ServerHandshake::State::failed) {
        result.reply =
            machine.is_socks4() ? socks4_reply_for(machine.error()) : reply_for(machine.error());
        result.answered = true;
      }
    }
    if (machine.state() == ServerHandshake::State::request_ready) {
      result.end = HandshakeEnd::request;
      result.request = machine.request();
      result.early.assign(received.begin() + static_cast<std::ptrdiff_t>(taken), received.end());
      co_return result;
    }
    if (deadline.expired()) {
      result.end = HandshakeEnd::timed_out;
      co_return result;
    }
  }
  result.end = HandshakeEnd::refused;
  result.error = machine.error();
  co_return result;
}

}  // namespace socks64::gateway
