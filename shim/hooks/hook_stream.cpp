// I/O. On a socket whose handshake is pending the first read or write finishes it: for waiters that
// no hook saw, for programs that do not wait at all. Everything else costs one relaxed load. Sends
// with an address are judged first: no datagram ever goes to a fake. Queries to a resolver never
// leave: see dns_link.cpp.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <optional>
#include <sys/ioctl.h>

#include "socks64/sockaddr.hpp"

#include "descriptors/fd_table.hpp"
#include "descriptors/socket_kind.hpp"
#include "descriptors/socket_swap.hpp"
#include "dns/dns_link.hpp"
#include "gateway/gateway_connect.hpp"
#include "gateway/gateway_link.hpp"
#include "gateway/progress_wait.hpp"
#include "hooks/passed_descriptors.hpp"
#include "hooks/start.hpp"
#include "host/hook_table.hpp"
#include "process/runtime.hpp"
#include "tables/policy.hpp"

using namespace socks64;
using namespace socks64::shim;

namespace {

inline bool may_read(int fd, int flags = 0) noexcept {
  constexpr int never_waits = MSG_DONTWAIT | MSG_ERRQUEUE | MSG_OOB;
  return !fd_table().any_unsettled() ||
         (settle_before_io(fd, (flags & MSG_DONTWAIT) != 0, SO_RCVTIMEO) &&
          wait_for_own(fd, POLLIN, (flags & never_waits) != 0, SO_RCVTIMEO));
}

inline bool may_write(int fd, int flags = 0) noexcept {
  return !fd_table().any_unsettled() ||
         (settle_before_io(fd, (flags & MSG_DONTWAIT) != 0, SO_SNDTIMEO) &&
          wait_for_own(fd, POLLOUT, (flags & MSG_DONTWAIT) != 0, SO_SNDTIMEO));
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

/// Whether we may look at a destination; otherwise errno says that it is a wild pointer. Shorter
/// than an address nobody looks at it, and of longer ones the kernel takes no more than this.
bool may_look_at(const void* address, socklen_t length) noexcept {
  constexpr socklen_t most = sizeof(sockaddr_storage);
  if (address == nullptr || can_read(address, std::min(length, most))) {
    return true;
  }
  errno = EFAULT;
  return false;
}

bool may_look_at(const msghdr* message) noexcept {
  if (message == nullptr) {
    return true;
  }
  if (!can_read(message, sizeof(*message))) {
    errno = EFAULT;
    return false;
  }
  return may_look_at(message->msg_name, message->msg_namelen);
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

/// Reads a datagram and shows who sent it. The sender is asked for in full, whatever room the
/// program has for it.
ssize_t receive(int fd, msghdr& message, int flags) noexcept {
  if (!can_read(&message, sizeof(message)) || !may_look_at(&message)) {
    errno = EFAULT;
    return -1;
  }
  sockaddr_storage from{};
  msghdr inner = message;
  inner.msg_name = &from;
  inner.msg_namelen = sizeof(from);
  const ssize_t received = libc::recvmsg(fd, &inner, flags);
  if (received < 0) {
    return received;
  }
  const ssize_t size = dns_received(fd, inner, sizeof(from), received, flags);
  if (message.msg_name != nullptr) {
    std::memcpy(message.msg_name, &from, std::min(message.msg_namelen, inner.msg_namelen));
    message.msg_namelen = inner.msg_namelen;
  }
  message.msg_controllen = inner.msg_controllen;
  message.msg_flags = inner.msg_flags;
  return size;
}

/// The same as recvfrom().
ssize_t receive(int fd, void* buffer, std::size_t size, int flags, sockaddr* address,
                socklen_t* length) noexcept {
  if (length != nullptr && !can_read(length, sizeof(*length))) {
    errno = EFAULT;
    return -1;
  }
  iovec part{buffer, size};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_name = length != nullptr ? address : nullptr;
  message.msg_namelen = message.msg_name != nullptr ? *length : 0;
  const ssize_t received = receive(fd, message, flags);
  if (received >= 0 && message.msg_name != nullptr) {
    *length = message.msg_namelen;
  }
  return received;
}

/// Whether a message of several is for a resolver, perhaps.
bool any_may_be_dns(int fd, const mmsghdr* messages, unsigned count) noexcept {
  return (any_dns_link() && find_dns_link(fd) != nullptr) ||
         std::any_of(messages, messages + count, [](const mmsghdr& one) {
           return has_dns_port(one.msg_hdr.msg_name, one.msg_hdr.msg_namelen);
         });
}

}  // namespace

S64_EXPORT ssize_t read(int fd, void* buffer, std::size_t size) {
  return may_read(fd) ? libc::read(fd, buffer, size) : -1;
}

S64_EXPORT ssize_t write(int fd, const void* buffer, std::size_t size) {
  if (any_dns_link()) {
    if (const std::optional<ssize_t> done = dns_write(fd, buffer, size, 0)) {
      return *done;
    }
  }
  return may_write(fd) ? libc::write(fd, buffer, size) : -1;
}

S64_EXPORT ssize_t readv(int fd, const iovec* parts, int count) {
  return may_read(fd) ? libc::readv(fd, parts, count) : -1;
}

S64_EXPORT ssize_t writev(int fd, const iovec* parts, int count) {
  if (any_dns_link() && parts != nullptr && count > 0) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts);  // NOLINT(cppcoreguidelines-pro-type-const-cast)
    message.msg_iovlen = static_cast<std::size_t>(count);
    if (const std::optional<ssize_t> done = dns_sendmsg(fd, message, 0)) {
      return *done;
    }
  }
  return may_write(fd) ? libc::writev(fd, parts, count) : -1;
}

S64_EXPORT ssize_t recv(int fd, void* buffer, std::size_t size, int flags) {
  return may_read(fd, flags) ? libc::recv(fd, buffer, size, flags) : -1;
}

S64_EXPORT ssize_t recvfrom(int fd, void* buffer, std::size_t size, int flags, sockaddr* address,
                            socklen_t* length) {
  if (!may_read(fd, flags)) {
    return -1;
  }
  return any_dns_link() ? receive(fd, buffer, size, flags, address, length)
                        : libc::recvfrom(fd, buffer, size, flags, address, length);
}

S64_EXPORT ssize_t recvmsg(int fd, msghdr* message, int flags) {
  if (!may_read(fd, flags)) {
    return -1;
  }
  return any_dns_link() && message != nullptr ? receive(fd, *message, flags)
                                              : libc::recvmsg(fd, message, flags);
}

S64_EXPORT int recvmmsg(int fd, mmsghdr* messages, unsigned count, BatchFlags batch_flags,
                        timespec* timeout) {
  const int flags = static_cast<int>(batch_flags);
  if (!may_read(fd, flags)) {
    return -1;
  }
  if (!any_dns_link() || messages == nullptr) {
    return libc::recvmmsg(fd, messages, count, batch_flags, timeout);
  }
  // The kernel overwrites the room for the addresses; it takes no more than so many at a time.
  constexpr unsigned most = 1024;
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): as many as there are messages
  std::array<std::uint8_t, most> rooms;
  count = std::min(count, most);
  for (unsigned i = 0; i < count; ++i) {
    const msghdr& header = messages[i].msg_hdr;
    rooms[i] = static_cast<std::uint8_t>(
        header.msg_name == nullptr ? 0 : std::min<socklen_t>(header.msg_namelen, 255));
  }
  const int received = libc::recvmmsg(fd, messages, count, batch_flags, timeout);
  for (int i = 0; i < received; ++i) {
    messages[i].msg_len = static_cast<unsigned>(
        dns_received(fd, messages[i].msg_hdr, rooms[static_cast<std::size_t>(i)],
                     static_cast<ssize_t>(messages[i].msg_len), flags));
  }
  return received;
}

S64_EXPORT int accept(int fd, sockaddr* address, socklen_t* length) {
  return may_read(fd) ? libc::accept(fd, address, length) : -1;
}

S64_EXPORT int accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
  return may_read(fd) ? libc::accept4(fd, address, length, flags) : -1;
}

S64_EXPORT ssize_t send(int fd, const void* buffer, std::size_t size, int flags) {
  if (any_dns_link()) {
    if (const std::optional<ssize_t> done = dns_write(fd, buffer, size, flags)) {
      return *done;
    }
  }
  return may_write(fd, flags) ? libc::send(fd, buffer, size, flags) : -1;
}

S64_EXPORT ssize_t sendto(int fd, const void* buffer, std::size_t size, int flags,
                          const sockaddr* address, socklen_t length) {
  if (!may_look_at(address, length)) {
    return -1;
  }
  if ((any_dns_link() || has_dns_port(address, length)) && ready()) {
    iovec part{const_cast<void*>(buffer), size};  // NOLINT(cppcoreguidelines-pro-type-const-cast)
    msghdr message{};
    message.msg_name =
        const_cast<sockaddr*>(address);  // NOLINT(cppcoreguidelines-pro-type-const-cast)
    message.msg_namelen = address != nullptr ? length : 0;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (const std::optional<ssize_t> done = dns_sendmsg(fd, message, flags)) {
      return *done;
    }
  }
  if (!may_send_to(fd, address, length, flags) || !may_write(fd, flags)) {
    return -1;
  }
  if (address != nullptr && minds_addresses(fd)) {
    return libc::send(fd, buffer, size, without_fast_open(fd, flags));
  }
  return libc::sendto(fd, buffer, size, without_fast_open(fd, flags), address, length);
}

S64_EXPORT ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  if (!may_look_at(message)) {
    return -1;
  }
  if (message != nullptr &&
      (any_dns_link() || has_dns_port(message->msg_name, message->msg_namelen)) && ready()) {
    if (const std::optional<ssize_t> done = dns_sendmsg(fd, *message, flags)) {
      return *done;
    }
  }
  if (!settle_passed_descriptors(message) ||
      (message != nullptr && !may_send_to(fd, message->msg_name, message->msg_namelen, flags))) {
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
S64_EXPORT int sendmmsg(int fd, mmsghdr* messages, unsigned count, BatchFlags batch_flags) {
  const int flags = static_cast<int>(batch_flags);
  count = std::min(count, 1024U);  // as the kernel does
  for (unsigned i = 0; messages != nullptr && i < count; ++i) {
    const int saved = errno;
    if (!may_look_at(&messages[i].msg_hdr)) {
      if (i == 0) {
        return -1;
      }
      errno = saved;
      count = i;  // those before it are sent
    }
  }
  if (messages != nullptr && any_may_be_dns(fd, messages, count)) {
    ErrnoGuard guard;
    unsigned sent = 0;
    for (ssize_t size = 0; sent < count; ++sent) {
      size = sendmsg(fd, &messages[sent].msg_hdr, flags);
      if (size < 0) {
        break;
      }
      messages[sent].msg_len = static_cast<unsigned>(size);
    }
    if (sent != 0 || count == 0) {
      return static_cast<int>(sent);
    }
    guard.set(errno);
    return -1;
  }
  unsigned allowed = 0;
  if (messages != nullptr) {
    ErrnoGuard guard;
    while (allowed < count && settle_passed_descriptors(&messages[allowed].msg_hdr) &&
           may_send_to(fd, messages[allowed].msg_hdr.msg_name,
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
  return may_write(fd, flags)
             ? libc::sendmmsg(fd, messages, allowed,
                              static_cast<BatchFlags>(without_fast_open(fd, flags)))
             : -1;
}

S64_EXPORT ssize_t sendfile(int out, int in, off_t* offset, std::size_t size) noexcept {
  return may_read(in) && may_write(out) ? libc::sendfile(out, in, offset, size) : -1;
}

S64_EXPORT ssize_t splice(int in, loff_t* in_offset, int out, loff_t* out_offset, std::size_t size,
                          unsigned flags) {
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
  const auto code = static_cast<unsigned long>(request);
  constexpr unsigned long not_sent = 0x894b;  // SIOCOUTQNSD, from a header of the kernel's
  if ((code == FIONREAD || code == TIOCOUTQ || code == not_sent) && fd_table().any_unsettled()) {
    // What passes between us and the gateway is not the program's to count.
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

S64_EXPORT ssize_t preadv64v2(int fd, const iovec* parts, int count, loff_t offset, int flags) {
  return may_read(fd) ? libc::preadv64v2(fd, parts, count, offset, flags) : -1;
}

S64_EXPORT ssize_t pwritev64v2(int fd, const iovec* parts, int count, loff_t offset, int flags) {
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

S64_EXPORT ssize_t sendfile64(int out, int in, loff_t* offset, std::size_t size) noexcept {
  return may_read(in) && may_write(out) ? libc::sendfile64(out, in, offset, size) : -1;
}

S64_EXPORT ssize_t __read_chk(int fd, void* buffer, std::size_t size, std::size_t room) {
  return may_read(fd) ? libc::__read_chk(fd, buffer, size, room) : -1;
}

S64_EXPORT ssize_t __recv_chk(int fd, void* buffer, std::size_t size, std::size_t room, int flags) {
  return may_read(fd, flags) ? libc::__recv_chk(fd, buffer, size, room, flags) : -1;
}

S64_EXPORT ssize_t __recvfrom_chk(int fd, void* buffer, std::size_t size, std::size_t room,
                                  int flags, sockaddr* address, socklen_t* length) {
  if (!may_read(fd, flags)) {
    return -1;
  }
  return any_dns_link() && size <= room
             ? receive(fd, buffer, size, flags, address, length)
             : libc::__recvfrom_chk(fd, buffer, size, room, flags, address, length);
}
#endif
