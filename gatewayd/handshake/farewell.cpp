#include "handshake/farewell.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <sys/socket.h>

#include <asio/this_coro.hpp>

namespace socks64::gateway {

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

Task<> farewell(Socket& client, DeadlineQueue& deadlines) {
  const DeadlineQueue::Entry deadline(deadlines, client);
  ::shutdown(client.native_handle(), SHUT_WR);
  for (;;) {
    const ssize_t dropped = discard(client.native_handle());
    if (dropped == 0 || deadline.expired()) {
      break;
    }
    if (dropped < 0 && errno == EINTR) {
      continue;
    }
    if (dropped < 0 && errno != EAGAIN) {
      break;
    }
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      break;
    }
    // One piece per wake-up also when more is there: a client that pours must not keep the worker.
    const bool drained = dropped < 0;
    const auto [error] = co_await client.async_wait(Ready::read, as_result, drained);
    if (error) {
      break;
    }
  }
  client.close();
}

}  // namespace socks64::gateway
