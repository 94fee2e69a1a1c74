#include "gateway_socket.hpp"

#include <ctime>
#include <netinet/in.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "socks64/sockaddr.hpp"

#include "hook_table.hpp"
#include "host_guard.hpp"
#include "lifecycle.hpp"
#include "socket_kind.hpp"

namespace socks64::shim {
namespace {

int raw_connect(int fd, const sockaddr* address, socklen_t length) noexcept {
  return static_cast<int>(syscall(SYS_connect, fd, address, length));
}

}  // namespace

void disconnect(int fd) noexcept {
  sockaddr unspecified{};
  unspecified.sa_family = AF_UNSPEC;
  raw_connect(fd, &unspecified, sizeof(unspecified));
}

Nanoseconds end_of_wait(int fd, int timeout_option) noexcept {
  timeval value{};
  socklen_t length = sizeof(value);
  if (libc::getsockopt(fd, SOL_SOCKET, timeout_option, &value, &length) != 0 ||
      (value.tv_sec == 0 && value.tv_usec == 0) ||
      value.tv_sec > never / nanoseconds_per_second / 4) {
    return never;
  }
  return now() + value.tv_sec * nanoseconds_per_second + value.tv_usec * 1000;
}

bool is_non_blocking(int fd) noexcept {
  return (libc::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}

socklen_t gateway_address(int fd, sockaddr_storage& out) noexcept {
  Endpoint gateway = config().gateway.endpoint;
  if (option(fd, SOL_SOCKET, SO_DOMAIN, AF_INET) == AF_INET6) {
    gateway.address = gateway.address.mapped();
  } else if (gateway.address.is_v6()) {
    return 0;
  }
  return to_sockaddr(gateway, out);
}

bool clear_v6only(int fd) noexcept {
  if (config().gateway.endpoint.address.is_v6() || option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0) == 0) {
    return false;
  }
  const int off = 0;
  return setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0;
}

void give_back_v6only(int fd, const Connection& connection) noexcept {
  if (connection.v6only_cleared) {
    const ErrnoGuard guard;
    const int on = 1;
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  }
}

int connect_without_waiting(int fd, const sockaddr_storage& address, socklen_t length,
                            bool non_blocking) noexcept {
  const auto* gateway = reinterpret_cast<const sockaddr*>(&address);
  timeval own{};
  socklen_t size = sizeof(own);
  if (non_blocking || libc::getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &own, &size) != 0) {
    return raw_connect(fd, gateway, length);
  }
  const timeval shortest{0, 1};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &shortest, sizeof(shortest));
  const int result = raw_connect(fd, gateway, length);
  const ErrnoGuard guard;
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &own, sizeof(own));
  return result;
}

bool has_kernel_error(int fd) noexcept {
  pollfd state{fd, 0, 0};
  const timespec at_once{};
  return syscall(SYS_ppoll, &state, 1, &at_once, nullptr, std::size_t{0}) > 0 &&
         (state.revents & POLLERR) != 0;
}

}  // namespace socks64::shim
