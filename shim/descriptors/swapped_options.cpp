// The options of a socket in whose place another file is.
//
// What the program set before is found by comparing with a plain socket of its family. What it sets
// and asks later goes to the file that is there where that understands it. Else a socket of the
// program's own family is made for the question, so that the kernel itself says what is wrong, and
// what has not been set has its true default; and what was set is remembered.
#include "descriptors/swapped_options.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "descriptors/socket_kind.hpp"
#include "host/hook_table.hpp"
#include "host/host_guard.hpp"

namespace socks64::shim {
namespace {

using Wish = SwappedSocket::Wish;

// The options of int's size that a client may have set; what the kernel does not know it does not
// tell.
constexpr struct {
  int level;
  int name;
} carried[] = {
    {SOL_SOCKET, SO_KEEPALIVE},
    {SOL_SOCKET, SO_REUSEADDR},
    {SOL_SOCKET, SO_REUSEPORT},
    {SOL_SOCKET, SO_SNDBUF},
    {SOL_SOCKET, SO_RCVBUF},
    {SOL_SOCKET, SO_OOBINLINE},
    {SOL_SOCKET, SO_PRIORITY},
    {SOL_SOCKET, SO_MARK},
    {SOL_SOCKET, SO_DONTROUTE},
    {SOL_SOCKET, SO_RCVLOWAT},
    {SOL_SOCKET, SO_TIMESTAMP},
    {SOL_SOCKET, SO_BUSY_POLL},
    {IPPROTO_TCP, TCP_NODELAY},
    {IPPROTO_TCP, TCP_CORK},
    {IPPROTO_TCP, TCP_KEEPIDLE},
    {IPPROTO_TCP, TCP_KEEPINTVL},
    {IPPROTO_TCP, TCP_KEEPCNT},
    {IPPROTO_TCP, TCP_USER_TIMEOUT},
    {IPPROTO_TCP, TCP_SYNCNT},
    {IPPROTO_TCP, TCP_LINGER2},
    {IPPROTO_TCP, TCP_MAXSEG},
    {IPPROTO_TCP, TCP_QUICKACK},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT},
    {IPPROTO_IP, IP_TOS},
    {IPPROTO_IP, IP_TTL},
    {IPPROTO_IP, IP_MTU_DISCOVER},
    {IPPROTO_IP, IP_RECVERR},
    {IPPROTO_IPV6, IPV6_V6ONLY},
    {IPPROTO_IPV6, IPV6_TCLASS},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS},
    {IPPROTO_IPV6, IPV6_RECVERR},
};

bool set(int fd, int level, int name, int value) noexcept {
  return libc::setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

template <class Record>
auto* find_wish(Record& record, int level, int name) noexcept {
  auto* const end = record.wishes.data() + record.wish_count;
  auto* const found = std::find_if(record.wishes.data(), end, [&](const Wish& wish) {
    return wish.level == level && wish.name == name;
  });
  return found == end ? nullptr : found;
}

/// Grants a wish as far as the family can. What IPv4 and IPv6 call by different names is
/// translated: ssh's IP_TOS is to mark its packets over IPv6 too.
void grant(int fd, int domain, const Wish& wish) noexcept {
  constexpr struct {
    int ipv4;
    int ipv6;
  } pairs[] = {{IP_TOS, IPV6_TCLASS}, {IP_TTL, IPV6_UNICAST_HOPS}};
  if (wish.level == SOL_SOCKET) {
    set(fd, wish.level, wish.name, wish.value);
  } else if (domain != AF_UNIX) {
    set(fd, wish.level, wish.name, wish.value);
    for (const auto& pair : pairs) {
      if (domain == AF_INET6 && wish.level == IPPROTO_IP && wish.name == pair.ipv4) {
        set(fd, IPPROTO_IPV6, pair.ipv6, wish.value);
      } else if (domain == AF_INET && wish.level == IPPROTO_IPV6 && wish.name == pair.ipv6) {
        set(fd, IPPROTO_IP, pair.ipv4, wish.value);
      }
    }
  }
}

}  // namespace

int current_domain(const SwappedSocket& record) noexcept {
  return std::atomic_ref(const_cast<int&>(record.current)).load(std::memory_order_acquire);
}

Temporary::Temporary(int domain, int protocol) noexcept
    : fd_(static_cast<int>(syscall(SYS_socket, domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                                   domain == AF_UNIX ? 0 : protocol))) {}

Temporary::~Temporary() {
  if (fd_ >= 0) {
    const ErrnoGuard guard;
    syscall(SYS_close, fd_);
  }
}

void remember(SwappedSocket& record, int level, int name, int value) noexcept {
  Wish* const known = find_wish(record, level, name);
  if (known != nullptr) {
    known->value = value;
  } else if (record.wish_count < record.wishes.size()) {
    record.wishes[record.wish_count++] = {level, name, value};
  }
}

void note_wishes(SwappedSocket& record, int fd, int plain) noexcept {
  for (const auto& each : carried) {
    const int value = option(fd, each.level, each.name, -1);
    if (value != option(plain, each.level, each.name, -1)) {
      // The kernel doubles the size of a buffer that is asked for.
      const bool buffer =
          each.level == SOL_SOCKET && (each.name == SO_SNDBUF || each.name == SO_RCVBUF);
      remember(record, each.level, each.name, buffer ? value / 2 : value);
    }
  }
}

void grant_wishes(int fd, int domain, const SwappedSocket& record) noexcept {
  if (domain == AF_INET6) {
    // For an AF_INET program its port on IPv4 stays free; its own wish follows.
    set(fd, IPPROTO_IPV6, IPV6_V6ONLY, record.domain == AF_INET ? 1 : 0);
  }
  for (std::uint32_t i = 0; i < record.wish_count; ++i) {
    grant(fd, domain, record.wishes[i]);
  }
}

int swapped_option(int fd, const SwappedSocket& record, int level, int name, void* value,
                   socklen_t* length) noexcept {
  const bool tcp_in_place = level == IPPROTO_TCP && current_domain(record) != AF_UNIX;
  int answer = 0;
  if (level == SOL_SOCKET && name == SO_DOMAIN) {
    answer = record.domain;
  } else if (level == SOL_SOCKET && name == SO_PROTOCOL) {
    answer = record.protocol;
  } else if (level == SOL_SOCKET || tcp_in_place) {
    return libc::getsockopt(fd, level, name, value, length);
  } else if (const Wish* wish = find_wish(record, level, name)) {
    answer = wish->value;
  } else {
    const Temporary judge(record.domain, record.protocol);
    if (judge.fd() < 0 || libc::getsockopt(judge.fd(), level, name, value, length) != 0) {
      return -1;
    }
    if (level == IPPROTO_TCP && name == TCP_INFO && *length != 0) {
      static_cast<tcp_info*>(value)->tcpi_state = TCP_ESTABLISHED;
    }
    return 0;
  }
  if (!is_readable(length, sizeof(std::uint64_t)) || value == nullptr) {
    errno = EFAULT;
    return -1;
  }
  *length = std::min<socklen_t>(*length, sizeof(answer));
  std::memcpy(value, &answer, *length);
  return 0;
}

int set_swapped_option(int fd, SwappedSocket& record, int level, int name, const void* value,
                       socklen_t length) noexcept {
  int result = 0;
  const bool in_place =
      level == SOL_SOCKET || (level == IPPROTO_TCP && current_domain(record) != AF_UNIX);
  if (in_place) {
    result = libc::setsockopt(fd, level, name, value, length);
  } else {
    const Temporary judge(record.domain, record.protocol);
    // Without a descriptor to ask, the program is believed.
    result = judge.fd() < 0 ? 0 : libc::setsockopt(judge.fd(), level, name, value, length);
  }
  if (result != 0 || length < sizeof(int)) {
    return result;
  }
  const ErrnoGuard guard;
  Wish wish{level, name, 0};
  std::memcpy(&wish.value, value, sizeof(wish.value));
  if (length == sizeof(int)) {
    remember(record, wish.level, wish.name, wish.value);
    if (!in_place) {
      grant(fd, current_domain(record), wish);
    }
  }
  return 0;
}

}  // namespace socks64::shim
