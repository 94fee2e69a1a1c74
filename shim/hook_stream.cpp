// I/O. On a socket whose handshake is pending the first read or write finishes it: for waiters that
// no hook saw, for programs that do not wait at all. Everything else costs one relaxed load. Sends
// with an address are judged first: no datagram ever goes to a fake.
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <sys/ioctl.h>

#include "socks64/sockaddr.hpp"

#include "fd_table.hpp"
#include "gateway_connect.hpp"
#include "gateway_link.hpp"
#include "hook_table.hpp"
#include "lifecycle.hpp"
#include "policy.hpp"
#include "socket_kind.hpp"
#include "socket_swap.hpp"

using namespace socks64;
using namespace socks64::shim;

namespace {

inline bool may_read(int fd, int flags = 0) noexcept {
  return !fd_table().any_unsettled() ||
         settle_before_io(fd, (flags & MSG_DONTWAIT) != 0, SO_RCVTIMEO);
}

inline bool may_write(int fd, int flags = 0) noexcept {
  return !fd_table().any_unsettled() ||
         settle_before_io(fd, (flags & MSG_DONTWAIT) != 0, SO_SNDTIMEO);
}

/// The destination of a send. The kernel takes AF_UNSPEC for AF_INET here, for compatibility.
Result<Endpoint> destination_of(const sockaddr* address, socklen_t length) noexcept {
  sockaddr_in ipv4{};
  if (length >= static_cast<socklen_t>(sizeof(ipv4)) && address->sa_family == AF_UNSPEC) {
    std::memcpy(&ipv4, address, sizeof(ipv4));
    ipv4.sin_family = AF_INET;
    return from_sockaddr(reinterpret_cast<const sockaddr*>(&ipv4), sizeof(ipv4));
  }
  return from_sockaddr(address, length);
}

/// Whether a message may go to `address`; otherwise errno says why not. With MSG_FASTOPEN it is a
/// connect() and a send() in one: the connect happens here.
bool may_send_to(int fd, const void* address, socklen_t length, int flags) noexcept {
  if (address == nullptr || length < static_cast<socklen_t>(sizeof(sa_family_t)) || !ready()) {
    return true;
  }
  const auto* where = static_cast<const sockaddr*>(address);
  const Result<Endpoint> destination = destination_of(where, length);
  if (!destination) {
    return true;  // another family, or too short an address: the kernel's to judge
  }
  const bool fast_open = (flags & MSG_FASTOPEN) != 0;
  const Decision decision = fast_open ? decide_stream(config(), fake_ips(), *destination)
                                      : decide_datagram(config(), fake_ips(), *destination);
  if (std::holds_alternative<Direct>(decision) || !is_internet(fd)) {
    return true;
  }
  if (is_tcp(fd)) {
    // Without MSG_FASTOPEN a stream ignores the address, or says that it is not connected.
    return !fast_open || connect(fd, where, length) == 0;
  }
  const Decision datagram = decide_datagram(config(), fake_ips(), *destination);
  if (const auto* refuse = std::get_if<Refuse>(&datagram)) {
    errno = refuse->error;
    return false;
  }
  return true;
}

/// The flags for the send behind a connect that was asked for with MSG_FASTOPEN.
int without_fast_open(int fd, int flags) noexcept {
  return fd_table().any_connection() && fd_table().connection(fd) != nullptr ? flags & ~MSG_FASTOPEN
                                                                             : flags;
}

}  // namespace

S64_EXPORT ssize_t read(int fd, void* buffer, std::size_t size) {
  return may_read(fd) ? libc::read(fd, buffer, size) : -1;
}

S64_EXPORT ssize_t write(int fd, const void* buffer, std::size_t size) {
  return may_write(fd) ? libc::write(fd, buffer, size) : -1;
}

S64_EXPORT ssize_t readv(int fd, const iovec* parts, int count) {
  return may_read(fd) ? libc::readv(fd, parts, count) : -1;
}

S64_EXPORT ssize_t writev(int fd, const iovec* parts, int count) {
  return may_write(fd) ? libc::writev(fd, parts, count) : -1;
}

S64_EXPORT ssize_t recv(int fd, void* buffer, std::size_t size, int flags) {
  return may_read(fd, flags) ? libc::recv(fd, buffer, size, flags) : -1;
}

S64_EXPORT ssize_t recvfrom(int fd, void* buffer, std::size_t size, int flags, sockaddr* address,
                            socklen_t* length) {
  return may_read(fd, flags) ? libc::recvfrom(fd, buffer, size, flags, address, length) : -1;
}

S64_EXPORT ssize_t recvmsg(int fd, msghdr* message, int flags) {
  return may_read(fd, flags) ? libc::recvmsg(fd, message, flags) : -1;
}

S64_EXPORT int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  return may_read(fd, flags) ? libc::recvmmsg(fd, messages, count, flags, timeout) : -1;
}

S64_EXPORT ssize_t send(int fd, const void* buffer, std::size_t size, int flags) {
  return may_write(fd, flags) ? libc::send(fd, buffer, size, flags) : -1;
}

S64_EXPORT ssize_t sendto(int fd, const void* buffer, std::size_t size, int flags,
                          const sockaddr* address, socklen_t length) {
  if (!may_send_to(fd, address, length, flags) || !may_write(fd, flags)) {
    return -1;
  }
  if (address != nullptr && minds_addresses(fd)) {
    return libc::send(fd, buffer, size, without_fast_open(fd, flags));
  }
  return libc::sendto(fd, buffer, size, without_fast_open(fd, flags), address, length);
}

S64_EXPORT ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  if (message != nullptr && !may_send_to(fd, message->msg_name, message->msg_namelen, flags)) {
    return -1;
  }
  if (!may_write(fd, flags)) {
    return -1;
  }
  if (message != nullptr && message->msg_name != nullptr && minds_addresses(fd)) {
    msghdr plain = *message;
    plain.msg_name = nullptr;
    plain.msg_namelen = 0;
    return libc::sendmsg(fd, &plain, without_fast_open(fd, flags));
  }
  return libc::sendmsg(fd, message, without_fast_open(fd, flags));
}

// As the kernel: the messages before the first that fails are sent, and the error shows with the
// next call.
S64_EXPORT int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  unsigned allowed = 0;
  if (messages != nullptr) {
    ErrnoGuard guard;
    while (allowed < count && may_send_to(fd, messages[allowed].msg_hdr.msg_name,
                                          messages[allowed].msg_hdr.msg_namelen, flags)) {
      ++allowed;
    }
    if (allowed == 0 && count != 0) {
      guard.set(errno);
      return -1;
    }
  } else {
    allowed = count;
  }
  return may_write(fd, flags) ? libc::sendmmsg(fd, messages, allowed, without_fast_open(fd, flags))
                              : -1;
}

S64_EXPORT ssize_t sendfile(int out, int in, off_t* offset, std::size_t size) noexcept {
  return may_write(out) ? libc::sendfile(out, in, offset, size) : -1;
}

S64_EXPORT ssize_t splice(int in, off64_t* in_offset, int out, off64_t* out_offset,
                          std::size_t size, unsigned flags) {
  constexpr unsigned non_block = 2;  // SPLICE_F_NONBLOCK
  const int dont_wait = (flags & non_block) != 0 ? MSG_DONTWAIT : 0;
  return may_read(in, dont_wait) && may_write(out, dont_wait)
             ? libc::splice(in, in_offset, out, out_offset, size, flags)
             : -1;
}

S64_EXPORT int ioctl(int fd, IoctlRequest request, ...) noexcept {
  va_list arguments;
  va_start(arguments, request);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  if (static_cast<unsigned long>(request) == FIONREAD && fd_table().any_unsettled()) {
    // What the gateway sends is not the program's to count.
    if (drive(fd).state == Progress::State::pending && argument != nullptr) {
      *static_cast<int*>(argument) = 0;
      return 0;
    }
  }
  return libc::ioctl(fd, request, argument);
}

#ifdef __GLIBC__
S64_EXPORT ssize_t preadv2(int fd, const iovec* parts, int count, off_t offset, int flags) {
  return may_read(fd) ? libc::preadv2(fd, parts, count, offset, flags) : -1;
}

S64_EXPORT ssize_t pwritev2(int fd, const iovec* parts, int count, off_t offset, int flags) {
  return may_write(fd) ? libc::pwritev2(fd, parts, count, offset, flags) : -1;
}

S64_EXPORT ssize_t preadv64v2(int fd, const iovec* parts, int count, off64_t offset, int flags) {
  return may_read(fd) ? libc::preadv64v2(fd, parts, count, offset, flags) : -1;
}

S64_EXPORT ssize_t pwritev64v2(int fd, const iovec* parts, int count, off64_t offset, int flags) {
  return may_write(fd) ? libc::pwritev64v2(fd, parts, count, offset, flags) : -1;
}

// libc's other names for the same calls.
S64_EXPORT ssize_t __read(int fd, void* buffer, std::size_t size) {
  return read(fd, buffer, size);
}

S64_EXPORT ssize_t __write(int fd, const void* buffer, std::size_t size) {
  return write(fd, buffer, size);
}

S64_EXPORT ssize_t __send(int fd, const void* buffer, std::size_t size, int flags) {
  return send(fd, buffer, size, flags);
}

S64_EXPORT ssize_t sendfile64(int out, int in, off64_t* offset, std::size_t size) noexcept {
  return may_write(out) ? libc::sendfile64(out, in, offset, size) : -1;
}

S64_EXPORT ssize_t __read_chk(int fd, void* buffer, std::size_t size, std::size_t room) {
  return may_read(fd) ? libc::__read_chk(fd, buffer, size, room) : -1;
}

S64_EXPORT ssize_t __recv_chk(int fd, void* buffer, std::size_t size, std::size_t room, int flags) {
  return may_read(fd, flags) ? libc::__recv_chk(fd, buffer, size, room, flags) : -1;
}

S64_EXPORT ssize_t __recvfrom_chk(int fd, void* buffer, std::size_t size, std::size_t room,
                                  int flags, sockaddr* address, socklen_t* length) {
  return may_read(fd, flags) ? libc::__recvfrom_chk(fd, buffer, size, room, flags, address, length)
                             : -1;
}
#endif
