#include "descriptors/gateway_socket.hpp"

#include <ctime>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "descriptors/socket_kind.hpp"
#include "host/hook_table.hpp"
#include "host/host_guard.hpp"

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

namespace {

std::optional<timeval> timeout_of(int fd, int timeout_option) noexcept {
  timeval value{};
  socklen_t length = sizeof(value);
  if (libc::getsockopt(fd, SOL_SOCKET, timeout_option, &value, &length) != 0) {
    return std::nullopt;
  }
  return value;
}

Nanoseconds end_of(const std::optional<timeval>& timeout) noexcept {
  if (!timeout || (timeout->tv_sec == 0 && timeout->tv_usec == 0) ||
      timeout->tv_sec > never / nanoseconds_per_second / 4) {
    return never;
  }
  return now() + timeout->tv_sec * nanoseconds_per_second + timeout->tv_usec * 1000;
}

}  // namespace

Nanoseconds end_of_wait(int fd, int timeout_option) noexcept {
  return end_of(timeout_of(fd, timeout_option));
}

bool is_non_blocking(int fd) noexcept {
  return (libc::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}

SocketManner manner_of(int fd) noexcept {
  SocketManner manner;
  manner.non_blocking = is_non_blocking(fd);
  if (!manner.non_blocking) {
    manner.send_timeout = timeout_of(fd, SO_SNDTIMEO);
  }
  return manner;
}

Nanoseconds SocketManner::end_of_connect() const noexcept {
  return end_of(send_timeout);
}

bool clear_v6only(int fd, bool& cleared) noexcept {
  if (option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0) == 0) {
    return true;
  }
  const ErrnoGuard guard;
  const int off = 0;
  if (libc::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) != 0) {
    return false;
  }
  cleared = true;
  return true;
}

void give_back_v6only(int fd, const Connection& connection) noexcept {
  if (connection.v6only_cleared) {
    const ErrnoGuard guard;
    const int on = 1;
    libc::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  }
}

int connect_without_waiting(int fd, const sockaddr_storage& address, socklen_t length,
                            const SocketManner& manner) noexcept {
  const auto* gateway = reinterpret_cast<const sockaddr*>(&address);
  if (!manner.send_timeout) {
    return raw_connect(fd, gateway, length);
  }
  const timeval own = *manner.send_timeout;
  const timeval shortest{0, 1};
  libc::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &shortest, sizeof(shortest));
  const int result = raw_connect(fd, gateway, length);
  const ErrnoGuard guard;
  libc::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &own, sizeof(own));
  return result;
}

namespace {

bool shows(int fd, short event) noexcept {
  pollfd state{fd, 0, 0};
  const timespec at_once{};
  return syscall(SYS_ppoll, &state, 1, &at_once, nullptr, std::size_t{0}) > 0 &&
         (state.revents & event) != 0;
}

}  // namespace

bool has_kernel_error(int fd) noexcept {
  return shows(fd, POLLERR);
}

int octets_waiting(int fd) noexcept {
  const ErrnoGuard guard;
  int count = 0;
  return libc::ioctl(fd, FIONREAD, &count) == 0 ? count : 0;
}

bool is_hung_up(int fd) noexcept {
  return shows(fd, POLLHUP);
}

}  // namespace socks64::shim
