// Another open file in the place of the program's socket.
//
// The program's own socket is what connects to the gateway, whenever it can. An AF_INET socket
// cannot dial an IPv6 address, an AF_INET6 socket that is IPV6_V6ONLY and bound cannot dial IPv4,
// and neither reaches a UNIX socket. Only then, when the program connects (or when a failover gets
// to such a gateway), a new socket of the right family takes the place of the old one:
//
// - under every duplicate that the table knows, each with its own CLOEXEC;
// - with the status flags and the options that the program had set;
// - with the epoll registrations that were recorded, which the kernel keeps by open file.
//
// From then on the socket has to lie about its family, for as long as it is connected. What of the
// program's wishes the new family cannot hold (TCP_NODELAY on a UNIX socket) is remembered, and
// judged by the kernel: asked of a socket of the program's own family, made for the question.
//
// What a swap cannot keep: the inode, and duplicates that no table of this process knows: those of
// relatives (fork before connect), those sent over UNIX sockets. And it needs one descriptor for a
// moment.
//
// docs/decisions/0005-any-gateway.md says what else was considered.
#include "descriptors/socket_swap.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "descriptors/fd_table.hpp"
#include "descriptors/gateway_socket.hpp"
#include "descriptors/socket_kind.hpp"
#include "descriptors/swapped_options.hpp"
#include "descriptors/wait_set.hpp"
#include "host/hook_table.hpp"
#include "host/mapped_pool.hpp"

namespace socks64::shim {

namespace {

/// Guarded by the table's lock.
MappedPool<SwappedSocket, 1U << 17U>& records() noexcept {
  static constinit MappedPool<SwappedSocket, 1U << 17U> pool;
  return pool;
}

constinit std::atomic<int> swapped_count{0};

/// Octets of an option, as they are, from one socket to another.
void copy_option(int from, int to, int name) noexcept {
  alignas(timeval) std::array<char, 64> value{};
  auto length = static_cast<socklen_t>(value.size());
  if (libc::getsockopt(from, SOL_SOCKET, name, value.data(), &length) == 0 && length != 0) {
    libc::setsockopt(to, SOL_SOCKET, name, value.data(), length);
  }
}

void copy_status_flags(int from, int to) noexcept {
  const int flags = libc::fcntl(from, F_GETFL);
  if ((flags & O_ASYNC) != 0) {
    f_owner_ex owner{};
    if (libc::fcntl(from, F_GETOWN_EX, &owner) == 0) {
      libc::fcntl(to, F_SETOWN_EX, &owner);
    }
    const long signal = libc::fcntl(from, F_GETSIG);
    // NOLINTNEXTLINE(performance-no-int-to-ptr): fcntl's third argument is a word
    libc::fcntl(to, F_SETSIG, reinterpret_cast<void*>(signal));
  }
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  libc::fcntl(to, F_SETFL, reinterpret_cast<void*>(static_cast<long>(flags)));
}

/// Where the program bound its socket counts as far as the family has it: a port on any address.
void bind_like(int fd, int domain, const SwappedSocket& record) noexcept {
  if (!record.bound || domain == AF_UNIX) {
    return;
  }
  sockaddr_storage address = record.local;
  socklen_t length = record.local_length;
  if (domain != record.domain) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(record.local);
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(record.local);
    const bool any = record.domain == AF_INET ? v4.sin_addr.s_addr == INADDR_ANY
                                              : IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr);
    if (!any) {
      return;
    }
    address = sockaddr_storage{};
    // The port stands at the same place in both.
    reinterpret_cast<sockaddr_in&>(address).sin_port = v4.sin_port;
    address.ss_family = static_cast<sa_family_t>(domain);
    length = domain == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  }
  syscall(SYS_bind, fd, &address, length);
}

/// Makes a new socket what the program's was.
void dress(int fresh, int domain, int old, const SwappedSocket& record) noexcept {
  grant_wishes(fresh, domain, record);
  for (const int name : {SO_LINGER, SO_RCVTIMEO, SO_SNDTIMEO}) {
    copy_option(old, fresh, name);
  }
  if (domain != AF_UNIX) {
    copy_option(old, fresh, SO_BINDTODEVICE);
  }
  copy_status_flags(old, fresh);
  bind_like(fresh, domain, record);
}

/// Notes once what the program made of its socket. Null: no memory, or no descriptor to compare
/// with (errno).
SwappedSocket* record_of(int fd, Connection& connection) noexcept {
  if (SwappedSocket* known = connection.swapped.load(std::memory_order_acquire)) {
    return known;
  }
  SwappedSocket record;
  record.domain = record.current = socket_option(fd, SO_DOMAIN);
  record.protocol = socket_option(fd, SO_PROTOCOL);
  record.local_length = sizeof(record.local);
  auto* local = reinterpret_cast<sockaddr*>(&record.local);
  if (libc::getsockname(fd, local, &record.local_length) != 0) {
    record.local_length = 0;
  }
  record.bound = connection.program_bound;
  const Temporary plain(record.domain, record.protocol);
  if (plain.fd() < 0) {
    return nullptr;
  }
  note_wishes(record, fd, plain.fd());
  if (connection.v6only_cleared) {
    remember(record, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  }
  const WordGuard guard(fd_table().lock());
  SwappedSocket* stored = guard.held() ? records().allocate() : nullptr;
  if (stored == nullptr) {
    errno = ENOMEM;
    return nullptr;
  }
  *stored = record;
  connection.swapped.store(stored, std::memory_order_release);
  return stored;
}

/// A failed connect as the kernel remembers it, without a packet to anybody: no host has a port 0.
void leave_note(int fd, int domain, const SocketManner& manner) noexcept {
  std::array<char, IFNAMSIZ> device{};
  socklen_t length = device.size();
  if (libc::getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device.data(), &length) == 0 &&
      length != 0) {
    return;  // it would leave by that device
  }
  sockaddr_storage nobody{};
  nobody.ss_family = static_cast<sa_family_t>(domain);
  if (domain == AF_INET) {
    reinterpret_cast<sockaddr_in&>(nobody).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    length = sizeof(sockaddr_in);
  } else {
    reinterpret_cast<sockaddr_in6&>(nobody).sin6_addr = in6addr_loopback;
    length = sizeof(sockaddr_in6);
  }
  connect_without_waiting(fd, nobody, length, manner);
  disconnect(fd);
}

enum class Note : std::uint8_t { none, failure };

int put_in_place(int fd, Connection& connection, int domain, Note note) noexcept {
  if (in_unseen_child()) {
    return EAFNOSUPPORT;  // our tables are our parent's
  }
  SwappedSocket* record = record_of(fd, connection);
  if (record == nullptr) {
    return errno;
  }
  const Temporary fresh(domain, record->protocol);
  if (fresh.fd() < 0) {
    return errno;
  }
  if (note == Note::failure) {
    leave_note(fresh.fd(), domain, {});
  }
  if (current_domain(*record) == AF_UNIX) {
    syscall(SYS_shutdown, fd, SHUT_RDWR);  // relatives may hold it too
  } else {
    disconnect(fd);
  }
  dress(fresh.fd(), domain, fd, *record);

  const SignalBlock signals;
  const WordGuard guard(fd_table().lock());
  if (!guard.held()) {
    return EAGAIN;
  }
  int error = 0;
  connection.former_inode.store(connection.inode.load(), std::memory_order_relaxed);
  connection.inode.store(inode_of(fresh.fd()), std::memory_order_release);
  fd_table().for_each_duplicate(fd, [&](int each, FdEntry& entry) {
    if (entry.connection.load(std::memory_order_relaxed) != &connection ||
        !connection.has_inode(inode_of(each))) {
      return;  // another file by now, by a close that we did not see
    }
    const int flags = (libc::fcntl(each, F_GETFD) & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0;
    wait_set().take_out(entry);
    if (syscall(SYS_dup3, fresh.fd(), each, flags) < 0) {
      error = errno;
    }
    wait_set().put_in(entry);
  });
  swapped_count.fetch_add((domain != record->domain ? 1 : 0) -
                          (current_domain(*record) != record->domain ? 1 : 0));
  std::atomic_ref(record->current).store(domain, std::memory_order_release);
  connection.dialled_mapped = false;
  return error;
}

}  // namespace

SwappedSocket* swapped_socket(const Connection& connection) noexcept {
  SwappedSocket* record = connection.swapped.load(std::memory_order_acquire);
  return record != nullptr && current_domain(*record) != record->domain ? record : nullptr;
}

bool any_swapped() noexcept {
  return swapped_count.load(std::memory_order_relaxed) != 0;
}

int own_domain(const Connection& connection, int current) noexcept {
  const SwappedSocket* record = connection.swapped.load(std::memory_order_acquire);
  return record != nullptr ? record->domain : current;
}

int swap_socket(int fd, Connection& connection, int domain) noexcept {
  const ErrnoGuard guard;
  return put_in_place(fd, connection, domain, Note::none);
}

void leave_gateway(int fd, Connection& connection, bool with_note) noexcept {
  const ErrnoGuard guard;
  if (const SwappedSocket* record = swapped_socket(connection)) {
    if (put_in_place(fd, connection, record->domain, with_note ? Note::failure : Note::none) == 0) {
      return;
    }
    // No descriptor is left: what there is must not go on. revive() tries again.
    syscall(SYS_shutdown, fd, SHUT_RDWR);
  }
  disconnect(fd);
  if (with_note && !has_kernel_error(fd) && !is_swapped(connection)) {
    leave_note(fd, socket_option(fd, SO_DOMAIN), manner_of(fd));
  }
  give_back_v6only(fd, connection);
}

int revive(int fd, const Endpoint& destination) noexcept {
  Connection* connection = fd_table().last_connection(fd);
  if (connection == nullptr || connection->state.load() != ConnectionState::spent ||
      !connection->has_inode(inode_of(fd))) {
    return 0;
  }
  const bool spoilt = connection->dialled_mapped && !destination.address.unmapped().is_v4();
  return is_swapped(*connection) || spoilt
             ? put_in_place(fd, *connection, own_domain(*connection, socket_option(fd, SO_DOMAIN)),
                            Note::none)
             : 0;
}

bool minds_addresses(int fd) noexcept {
  const Connection* connection = any_swapped() ? fd_table().verified_connection(fd) : nullptr;
  const SwappedSocket* record = connection == nullptr ? nullptr : swapped_socket(*connection);
  return record != nullptr && current_domain(*record) == AF_UNIX;
}

void forget_swap(Connection& connection) noexcept {
  if (SwappedSocket* record = connection.swapped.load(std::memory_order_relaxed)) {
    if (is_swapped(connection)) {
      swapped_count.fetch_sub(1);
    }
    connection.swapped.store(nullptr, std::memory_order_relaxed);
    records().release(record);
  }
}

socklen_t local_address_of(const SwappedSocket& record, sockaddr_storage& out) noexcept {
  out = record.local;
  return record.local_length;
}

}  // namespace socks64::shim
