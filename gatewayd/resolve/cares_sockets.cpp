#include "resolve/cares_sockets.hpp"

#if ARES_VERSION >= 0x012200
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace socks64::gateway {
namespace {

/// As many datagrams are dropped before others have their turn.
constexpr int max_dropped = 64;

bool is_datagram_socket(int socket) noexcept {
  int type = 0;
  socklen_t size = sizeof type;
  return ::getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_DGRAM;
}

ares_socket_t open_socket(int domain, int type, int protocol, void* /*translation*/) {
  const int socket = ::socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (socket >= 0 && type == SOCK_STREAM) {
    const int on = 1;
    static_cast<void>(::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
  }
  return socket;
}

int close_socket(ares_socket_t socket, void* /*translation*/) {
  return ::close(socket);
}

/// None that c-ares would set for us.
int set_option(ares_socket_t /*socket*/, ares_socket_opt_t /*option*/, const void* /*value*/,
               ares_socklen_t /*size*/, void* /*translation*/) {
  errno = ENOSYS;
  return -1;
}

int connect_socket(ares_socket_t socket, const sockaddr* address, ares_socklen_t size,
                   unsigned /*flags*/, void* /*translation*/) {
  return ::connect(socket, address, size);
}

ares_ssize_t receive(ares_socket_t socket, void* buffer, std::size_t size, int flags,
                     sockaddr* address, ares_socklen_t* address_size, void* translation) {
  if (address == nullptr) {
    return ::recv(socket, buffer, size, flags);  // TCP
  }
  const auto& translator = *static_cast<const CaresTranslation*>(translation);
  const ares_socklen_t room = *address_size;
  for (int i = 0; i < max_dropped; ++i) {
    *address_size = room;
    const ssize_t got = ::recvfrom(socket, buffer, size, flags, address, address_size);
    if (got < 0) {
      return got;
    }
    const MutableBytes whole(static_cast<std::uint8_t*>(buffer), size);
    const std::size_t translated = translator.for_cares(whole, static_cast<std::size_t>(got));
    if (translated != 0) {
      return static_cast<ares_ssize_t>(translated);
    }
  }
  errno = EAGAIN;
  return -1;
}

ares_ssize_t send_to(ares_socket_t socket, const void* buffer, std::size_t size, int flags,
                     const sockaddr* address, ares_socklen_t address_size, void* translation) {
  std::array<std::uint8_t, CaresTranslation::max_query> other{};
  Bytes query(static_cast<const std::uint8_t*>(buffer), size);
  if (is_datagram_socket(socket)) {
    const auto& translator = *static_cast<const CaresTranslation*>(translation);
    const std::optional<Bytes> translated = translator.for_server(query, other);
    if (!translated) {
      return static_cast<ares_ssize_t>(size);  // nobody waits for its answer
    }
    query = *translated;
  }
  const ssize_t sent =
      ::sendto(socket, query.data(), query.size(), flags | MSG_NOSIGNAL, address, address_size);
  // A datagram goes whole or not at all, and c-ares knows the size of its own.
  return sent >= 0 && query.data() == other.data() ? static_cast<ares_ssize_t>(size) : sent;
}

int own_address(ares_socket_t socket, sockaddr* address, ares_socklen_t* size,
                void* /*translation*/) {
  return ::getsockname(socket, address, size);
}

}  // namespace

bool translate(ares_channel channel, CaresTranslation& translation) noexcept {
  ares_socket_functions_ex functions{};
  functions.version = 1;
  functions.flags = ARES_SOCKFUNC_FLAG_NONBLOCKING;
  functions.asocket = open_socket;
  functions.aclose = close_socket;
  functions.asetsockopt = set_option;
  functions.aconnect = connect_socket;
  functions.arecvfrom = receive;
  functions.asendto = send_to;
  functions.agetsockname = own_address;
  return ares_set_socket_functions_ex(channel, &functions, &translation) == ARES_SUCCESS;
}

}  // namespace socks64::gateway

#else

namespace socks64::gateway {

bool translate(ares_channel /*channel*/, CaresTranslation& /*translation*/) noexcept {
  return true;
}

}  // namespace socks64::gateway

#endif
