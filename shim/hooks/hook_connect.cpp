// connect() and what a socket says of its connection. THE SPINE of the shim: from the program's
// address to a decision to a handshake.
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <netinet/tcp.h>

#include "socks64/sockaddr.hpp"

#include "descriptors/fd_table.hpp"
#include "descriptors/socket_kind.hpp"
#include "descriptors/socket_swap.hpp"
#include "descriptors/swapped_options.hpp"
#include "dns/dns_link.hpp"
#include "gateway/explain.hpp"
#include "gateway/gateway_connect.hpp"
#include "gateway/gateway_link.hpp"
#include "gateway/gateways.hpp"
#include "gateway/progress_wait.hpp"
#include "hooks/start.hpp"
#include "host/hook_table.hpp"
#include "process/runtime.hpp"
#include "tables/policy.hpp"

namespace socks64::shim {
namespace {

/// For a stream that is connected past the gateway already, on the way there, or listening: the
/// kernel says so, and begins nothing.
int connect_taken(int fd) noexcept {
  // Whatever the address: not the program's, in case another thread disconnects it right now.
  sockaddr_in nowhere{};
  nowhere.sin_family = AF_INET;
  nowhere.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return libc::connect(fd, reinterpret_cast<const sockaddr*>(&nowhere), sizeof(nowhere));
}

int connect_directly(int fd, const sockaddr* address, socklen_t length,
                     const Endpoint& destination) noexcept {
  if (!explains()) {
    return libc::connect(fd, address, length);
  }
  const Nanoseconds started = now();
  const int result = libc::connect(fd, address, length);
  explain_direct(fd, destination, result == 0 ? 0 : errno, started);
  return result;
}

int connect_by_policy(int fd, const sockaddr* address, socklen_t length,
                      const Endpoint& destination) noexcept {
  Decision decision = decide_stream(config(), fake_ips(), destination);
  if (fd_table().last_connection(fd) != nullptr && !std::holds_alternative<Refuse>(decision)) {
    const bool direct = std::holds_alternative<Direct>(decision);
    const int error = direct || any_swapped() ? revive(fd, destination) : 0;
    if (error != 0) {
      errno = error;
      return -1;
    }
  }
  if (std::holds_alternative<Direct>(decision)) {
    fd_table().unfollow(fd);
    return connect_directly(fd, address, length, destination);
  }
  // From here on nothing goes to the destination itself; the kernel still judges the descriptor.
  const int state = tcp_state(fd);
  if (state == 0 && !is_socket(fd)) {
    return libc::connect(fd, address, length);  // EBADF, ENOTSOCK
  }
  if (state == 0 && !is_tcp(fd)) {
    decision = decide_datagram(config(), fake_ips(), destination);
    if (std::holds_alternative<Direct>(decision)) {
      return connect_directly(fd, address, length, destination);
    }
  }
  if (const auto* refuse = std::get_if<Refuse>(&decision)) {
    if (explains()) {
      explain_refused(fd, destination, refuse->error);
    }
    errno = refuse->error;
    return -1;
  }
  if (state != 0 && state != TCP_CLOSE) {
    return connect_taken(fd);
  }
  if (const auto* plain = std::get_if<Endpoint>(&std::get_if<ViaGateway>(&decision)->target);
      plain != nullptr && gateways().has_resolved(*plain)) {
    return libc::connect(fd, address, length);  // a gateway itself, as one given by address
  }
  return connect_through_gateway(fd, std::get_if<ViaGateway>(&decision)->target, address, length);
}

/// Writes an address as the kernel does: as much as fits, and the whole length.
int give_address(const void* from, socklen_t size, sockaddr* address, socklen_t* length) noexcept {
  std::memcpy(address, from, std::min(*length, size));
  *length = size;
  return 0;
}

/// TCP_INFO of a socket that is connected to the gateway alone: it is still connecting.
int give_tcp_info_of_pending(int fd, void* value, socklen_t* length) noexcept {
  const int result = libc::getsockopt(fd, IPPROTO_TCP, TCP_INFO, value, length);
  if (result == 0 && *length > offsetof(tcp_info, tcpi_state)) {
    static_cast<unsigned char*>(value)[offsetof(tcp_info, tcpi_state)] = TCP_SYN_SENT;
  }
  return result;
}

}  // namespace
}  // namespace socks64::shim

using namespace socks64;
using namespace socks64::shim;

S64_EXPORT int socket(int domain, int type, int protocol) noexcept {
  const int fd = libc::socket(domain, type, protocol);
  if (fd >= 0 && ready()) {
    constexpr int type_mask = 0xf;
    const bool stream =
        (domain == AF_INET || domain == AF_INET6) && (type & type_mask) == SOCK_STREAM;
    fd_table().note(fd, stream ? FdKind::fresh_stream : FdKind::other);
  }
  return fd;
}

S64_EXPORT int connect(int fd, const sockaddr* address, socklen_t length) {
  // What is too short, too long or unreadable is the kernel's to refuse.
  constexpr std::size_t shortest = 8;
  if (!ready() || length < static_cast<socklen_t>(sizeof(sa_family_t)) ||
      length > static_cast<socklen_t>(sizeof(sockaddr_storage)) ||
      !is_readable(address, std::max<std::size_t>(length, shortest))) {
    return libc::connect(fd, address, length);
  }
  if (any_to_drive()) {
    drive_ready();
  }
  if (Connection* connection = fd_table().verified_connection(fd)) {
    return connect_again(fd, *connection, address, length);
  }
  if (const std::optional<int> done = dns_connect(fd, address, length)) {
    return *done;
  }
  const Result<Endpoint> destination = from_sockaddr(address, length);
  if (!destination) {
    return libc::connect(fd, address, length);  // another family, or an error that the kernel names
  }
  return connect_by_policy(fd, address, length, *destination);
}

S64_EXPORT int getsockopt(int fd, int level, int name, void* value, socklen_t* length) noexcept {
  if (level == IPPROTO_TCP && name == TCP_INFO && fd_table().any_unsettled() &&
      drive(fd).state == Progress::State::pending) {
    return give_tcp_info_of_pending(fd, value, length);
  }
  const bool error_asked = level == SOL_SOCKET && name == SO_ERROR && fd_table().any_unsettled();
  const bool v6only_asked =
      level == IPPROTO_IPV6 && name == IPV6_V6ONLY && fd_table().any_connection();
  Connection* connection =
      error_asked || v6only_asked || any_swapped() ? fd_table().verified_connection(fd) : nullptr;
  const SwappedSocket* swapped =
      connection == nullptr || error_asked ? nullptr : swapped_socket(*connection);
  if (swapped != nullptr) {
    return swapped_option(fd, *swapped, level, name, value, length);
  }
  if (connection == nullptr || value == nullptr || length == nullptr ||
      *length < static_cast<socklen_t>(sizeof(int))) {
    return libc::getsockopt(fd, level, name, value, length);
  }
  int answer = 1;
  if (error_asked) {
    static_cast<void>(heed_raw_wait(fd));
    const Progress progress = drive(fd);
    if (progress.state == Progress::State::established || progress.state == Progress::State::none) {
      return libc::getsockopt(fd, level, name, value, length);
    }
    answer = progress.state == Progress::State::failed ? take_error(fd, *connection) : 0;
  } else if (!v6only_asked || !connection->v6only_cleared) {
    return libc::getsockopt(fd, level, name, value, length);
  }
  std::memcpy(value, &answer, sizeof(answer));
  *length = sizeof(answer);
  return 0;
}

S64_EXPORT int setsockopt(int fd, int level, int name, const void* value,
                          socklen_t length) noexcept {
  Connection* connection = any_swapped() ? fd_table().verified_connection(fd) : nullptr;
  SwappedSocket* swapped = connection == nullptr ? nullptr : swapped_socket(*connection);
  return swapped != nullptr ? set_swapped_option(fd, *swapped, level, name, value, length)
                            : libc::setsockopt(fd, level, name, value, length);
}

S64_EXPORT int getpeername(int fd, sockaddr* address, socklen_t* length) noexcept {
  if (any_dns_link()) {
    if (const std::optional<int> done = dns_getpeername(fd, address, length)) {
      return *done;
    }
  }
  Connection* connection =
      fd_table().any_connection() ? fd_table().verified_connection(fd) : nullptr;
  if (connection == nullptr || address == nullptr || length == nullptr) {
    return libc::getpeername(fd, address, length);
  }
  if (fd_table().any_unsettled()) {
    static_cast<void>(heed_raw_wait(fd));
  }
  if (drive(fd).state != Progress::State::established) {
    errno = ENOTCONN;
    return -1;
  }
  // The destination's end may have been reset since: then the kernel says so.
  sockaddr_storage real{};
  socklen_t real_length = sizeof(real);
  if (libc::getpeername(fd, reinterpret_cast<sockaddr*>(&real), &real_length) != 0) {
    return -1;
  }
  return give_address(connection->dialled.data(), connection->dialled_size, address, length);
}

// RFC 3089 section 5: the address cannot be the true one where the families differ, the port can.
// The family is the socket's own.
S64_EXPORT int getsockname(int fd, sockaddr* address, socklen_t* length) noexcept {
  Connection* connection =
      fd_table().any_connection() ? fd_table().verified_connection(fd) : nullptr;
  const SwappedSocket* swapped = connection == nullptr ? nullptr : swapped_socket(*connection);
  if (connection == nullptr || address == nullptr || length == nullptr ||
      (swapped == nullptr && (connection->program_bound || connection->bound_port == 0))) {
    return libc::getsockname(fd, address, length);
  }
  const bool established = drive(fd).state == Progress::State::established;
  if (swapped == nullptr && !established) {
    return libc::getsockname(fd, address, length);
  }
  sockaddr_storage local{};
  socklen_t local_length = sizeof(local);
  if (swapped != nullptr) {
    local_length = local_address_of(*swapped, local);
  } else if (libc::getsockname(fd, reinterpret_cast<sockaddr*>(&local), &local_length) != 0) {
    return -1;
  }
  Result<Endpoint> endpoint =
      from_sockaddr(reinterpret_cast<const sockaddr*>(&local), local_length);
  if (endpoint && established && !connection->program_bound) {
    endpoint->port = connection->bound_port;
    local_length = to_sockaddr(*endpoint, local);
  }
  return give_address(&local, local_length, address, length);
}

S64_EXPORT int shutdown(int fd, int how) noexcept {
  const bool valid = how == SHUT_RD || how == SHUT_WR || how == SHUT_RDWR;
  if (valid && fd_table().any_unsettled()) {
    if (Connection* connection = fd_table().verified_connection(fd)) {
      // As the kernel does with a socket that is still connecting: it becomes unconnected.
      if (drive(fd).state == Progress::State::pending) {
        abandon(fd, *connection);
        return 0;
      }
    }
  }
  return libc::shutdown(fd, how);
}

#ifdef __GLIBC__
// libc's other name for the same call.
S64_EXPORT int __connect(int fd, const sockaddr* address, socklen_t length) {
  return connect(fd, address, length);
}
#endif
