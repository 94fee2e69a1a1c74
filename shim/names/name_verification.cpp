// What can go wrong here, and the rules that keep it from going wrong:
// - Only one answer takes a name away from a program: reply 4, "there is none". Whatever else
//   happens - a timeout, no descriptor, another reply, rubbish - the name gets its fake address, as
//   without verify_names.
// - A gateway that is dead or does not know RESOLVE must not make every look-up slow: it is left
//   alone for a while.
// - The descriptor exists during the call only. It is CLOEXEC, never 0, 1 or 2 (somebody writes
//   there blindly), and used through raw system calls: no hook of ours sees it, and no call on the
//   way is a cancellation point at which it could leak.
#include "names/name_verification.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "socks64/client_handshake.hpp"

#include "descriptors/connection.hpp"
#include "gateway/gateway_dial.hpp"
#include "gateway/gateways.hpp"
#include "host/file_text.hpp"
#include "host/hook_table.hpp"
#include "host/host_guard.hpp"
#include "process/diag.hpp"
#include "process/runtime.hpp"

namespace socks64::shim {
namespace {

// As long as libc's resolver waits for a server (two tries of five seconds).
constexpr Nanoseconds longest_wait = 10 * nanoseconds_per_second;

constexpr Nanoseconds life_of_yes = 30 * nanoseconds_per_second;
constexpr Nanoseconds life_of_no = 5 * nanoseconds_per_second;
constexpr Nanoseconds life_of_unknown = 5 * nanoseconds_per_second;

constexpr Nanoseconds pause_when_unreachable = 5 * nanoseconds_per_second;
constexpr Nanoseconds pause_when_not_understood = 60 * nanoseconds_per_second;

// --- what is known ---

struct Known {
  std::array<char, DomainName::max_size> name;
  std::uint8_t size;  ///< 0: empty
  Existence existence;
  Nanoseconds until;
};

WordLock known_lock;  ///< guards `known`
/// A name has one place; a newcomer takes it from another name.
constinit std::array<Known, 256> known{};
std::atomic<Nanoseconds> ask_again{0};  ///< until then the gateway is not asked

std::string_view lower_case(std::string_view name,
                            std::array<char, DomainName::max_size>& out) noexcept {
  const std::size_t size = std::min(name.size(), out.size());
  for (std::size_t i = 0; i < size; ++i) {
    out[i] = lower(name[i]);
  }
  return {out.data(), size};
}

Known& place_of(std::string_view name) noexcept {
  std::uint32_t hash = 2166136261U;  // FNV-1a
  for (const char c : name) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  }
  return known[(hash ^ hash >> 16U) % known.size()];
}

bool recall(std::string_view name, Existence& existence) noexcept {
  const SignalBlock signal_block;
  const WordGuard guard(known_lock);
  if (!guard.held()) {
    return false;
  }
  const Known& place = place_of(name);
  if (place.size != name.size() || place.until < now() ||
      std::memcmp(place.name.data(), name.data(), name.size()) != 0) {
    return false;
  }
  existence = place.existence;
  return true;
}

void remember(std::string_view name, Existence existence) noexcept {
  const SignalBlock signal_block;
  const WordGuard guard(known_lock);
  if (!guard.held()) {
    return;
  }
  Known& place = place_of(name);
  std::memcpy(place.name.data(), name.data(), name.size());
  place.size = static_cast<std::uint8_t>(name.size());
  place.existence = existence;
  place.until = now() + (existence == Existence::exists           ? life_of_yes
                         : existence == Existence::does_not_exist ? life_of_no
                                                                  : life_of_unknown);
}

__attribute__((tls_model("initial-exec"))) thread_local bool must_not_wait;

// --- the question ---

enum class Trouble : unsigned char {
  none,
  unreachable,     ///< no connection, or no answer to the greeting
  not_understood,  ///< the gateway does not serve RESOLVE
};

struct Outcome {
  Existence existence = Existence::unknown;
  Trouble trouble = Trouble::none;
};

/// False when the time is over.
bool wait_for(int fd, short events, Nanoseconds deadline) noexcept {
  for (;;) {
    const Nanoseconds left = deadline - now();
    if (left <= 0) {
      return false;
    }
    pollfd state{fd, events, 0};
    const timespec time = to_timespec(left);
    const long ready = syscall(SYS_ppoll, &state, 1, &time, nullptr, std::size_t{0});
    if (ready > 0) {
      return true;
    }
    if (ready < 0 && errno != EINTR) {
      return false;
    }
  }
}

class TemporarySocket {
 public:
  explicit TemporarySocket(int family) noexcept
      : fd_(libc::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    if (fd_ >= 0 && fd_ <= STDERR_FILENO) {
      const int low = fd_;
      // NOLINTNEXTLINE(performance-no-int-to-ptr): the optional argument of fcntl, as libc reads it
      fd_ = libc::fcntl(low, F_DUPFD_CLOEXEC, reinterpret_cast<void*>(STDERR_FILENO + 1L));
      syscall(SYS_close, low);
    }
  }
  ~TemporarySocket() {
    if (fd_ >= 0) {
      syscall(SYS_close, fd_);
    }
  }
  TemporarySocket(const TemporarySocket&) = delete;
  TemporarySocket& operator=(const TemporarySocket&) = delete;
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

/// The one place here that knows how a gateway is reached. 0 or an errno.
int reach(int fd, const Gateways::Address& address, Nanoseconds deadline) noexcept {
  const int on = 1;
  libc::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (syscall(SYS_connect, fd, &address.storage, address.length) == 0) {
    return 0;
  }
  if (errno != EINPROGRESS) {
    return errno;
  }
  if (!wait_for(fd, POLLOUT, deadline)) {
    return ETIMEDOUT;
  }
  int error = 0;
  socklen_t size = sizeof(error);
  return libc::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

Outcome judge(const ClientHandshake& machine) noexcept {
  if (machine.want() == ClientHandshake::Want::done) {
    return {Existence::exists, Trouble::none};
  }
  switch (machine.error()) {
    case Errc::request_failed:
      switch (machine.reply_code()) {
        case ReplyCode::host_unreachable:
          return {Existence::does_not_exist, Trouble::none};
        case ReplyCode::command_not_supported:
        case ReplyCode::address_type_not_supported:
          return {Existence::unknown, Trouble::not_understood};
        default:
          return {};
      }
    case Errc::no_acceptable_method:
    case Errc::auth_failed:
      return {Existence::unknown, Trouble::unreachable};
    default:
      return {Existence::unknown, Trouble::not_understood};  // closed, or rubbish
  }
}

/// One turn of the machine's I/O: what the call returned, or -1 with errno.
long exchange(int fd, ClientHandshake& machine) noexcept {
  if (machine.want() == ClientHandshake::Want::write) {
    const Bytes out = machine.output();
    const long sent =
        syscall(SYS_sendto, fd, out.data(), out.size(), MSG_DONTWAIT | MSG_NOSIGNAL, nullptr, 0);
    if (sent >= 0) {
      machine.sent(static_cast<std::size_t>(sent));
    }
    return sent;
  }
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): as many octets as are counted
  std::array<std::uint8_t, max_reply_size> in;
  const std::size_t most = std::min(machine.read_size(), in.size());
  const long got = syscall(SYS_recvfrom, fd, in.data(), most, MSG_DONTWAIT, nullptr, nullptr);
  if (got > 0) {
    machine.received(Bytes(in.data(), static_cast<std::size_t>(got)));
  } else if (got == 0) {
    machine.closed();
  }
  return got;
}

/// The gateway has until `greeted` to answer the greeting, and the name until `deadline`.
Outcome ask(Candidate candidate, const DomainName& name, Nanoseconds greeted,
            Nanoseconds deadline) noexcept {
  const Gateways::Address address = gateways().address(candidate);
  const TemporarySocket socket(address.storage.ss_family);
  const int fd = socket.get();
  if (fd < 0) {
    // No descriptor, no memory: ours, not the gateway's. A host without IPv6 may have another.
    return {Existence::unknown, errno == EAFNOSUPPORT ? Trouble::unreachable : Trouble::none};
  }
  if (const int error = reach(fd, address, greeted)) {
    if (!is_local_shortage(error) && error != EAGAIN) {
      gateways().failed(candidate, now());
    }
    return {Existence::unknown, Trouble::unreachable};
  }
  ClientHandshake machine({Command::resolve, NamedEndpoint{name, 0}},
                          config().credentials_for(config().gateways[candidate.gateway]),
                          {.pipelining = config().pipelining});
  bool spoke = false;  // the gateway has said something
  for (;;) {
    const ClientHandshake::Want want = machine.want();
    if (want == ClientHandshake::Want::done || want == ClientHandshake::Want::failed) {
      return judge(machine);
    }
    const bool reading = want == ClientHandshake::Want::read;
    if (exchange(fd, machine) >= 0) {
      spoke = spoke || reading;
    } else if (errno == EAGAIN) {
      if (!wait_for(fd, reading ? POLLIN : POLLOUT, spoke ? deadline : greeted)) {
        if (!spoke) {
          gateways().failed(candidate, now());
        }
        return {Existence::unknown, spoke ? Trouble::none : Trouble::unreachable};
      }
    } else if (errno != EINTR) {
      // A reset where the reply should be is how some gateways say that they do not understand.
      return {Existence::unknown, spoke ? Trouble::not_understood : Trouble::unreachable};
    }
  }
}

/// Asks the gateways in their order, until one is there. `asked` is the last of them.
Outcome ask_in_turn(const DomainName& name, Nanoseconds deadline, Candidate& asked) noexcept {
  Outcome outcome{Existence::unknown, Trouble::unreachable};
  GatewayWalk walk = gateways().begin_aside();
  while (outcome.trouble == Trouble::unreachable) {
    const Gateways::Pick pick = gateways().pick(walk, now());
    if (pick.kind == Gateways::Pick::Kind::none || now() >= deadline) {
      break;
    }
    if (pick.kind == Gateways::Pick::Kind::unresolved && gateways().resolve(pick.candidate)) {
      continue;
    }
    walk.note_tried(pick.candidate);
    asked = pick.candidate;
    if (pick.kind == Gateways::Pick::Kind::candidate) {
      const Nanoseconds time = now();
      const bool last = gateways().pick(walk, time).kind == Gateways::Pick::Kind::none;
      const Nanoseconds attempt = config().gateway_timeout_seconds * nanoseconds_per_second;
      outcome =
          ask(pick.candidate, name, last ? deadline : std::min(deadline, time + attempt), deadline);
    }
  }
  return outcome;
}

void leave_alone(Trouble trouble, Candidate gateway) noexcept {
  const bool understood = trouble != Trouble::not_understood;
  ask_again.store(now() + (understood ? pause_when_unreachable : pause_when_not_understood),
                  std::memory_order_relaxed);
  diagnose(LogLevel::info,
           {"names are not verified for a while, because ", gateways().text(gateway),
            understood ? " cannot be reached" : " does not understand the question"});
}

}  // namespace

Existence existence_of(std::string_view name) noexcept {
  const Result<DomainName> asked = DomainName::from(name);
  if (!config().usable() || !asked) {
    return Existence::unknown;
  }
  const ErrnoGuard guard;
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): as much as `lowered` views
  std::array<char, DomainName::max_size> storage;
  const std::string_view lowered = lower_case(name, storage);
  Existence existence = Existence::unknown;
  if (recall(lowered, existence)) {
    return existence;
  }
  if (must_not_wait || now() < ask_again.load(std::memory_order_relaxed)) {
    return Existence::unknown;
  }
  Candidate gateway{};
  const Nanoseconds patience =
      std::min(longest_wait, Nanoseconds{config().timeout_seconds} * nanoseconds_per_second);
  const Outcome outcome = ask_in_turn(*asked, now() + patience, gateway);
  if (outcome.trouble != Trouble::none) {
    leave_alone(outcome.trouble, gateway);
    return Existence::unknown;
  }
  remember(lowered, outcome.existence);
  if (outcome.existence == Existence::does_not_exist) {
    diagnose(LogLevel::info, {lowered, " does not exist, says ", gateways().text(gateway)});
  }
  return outcome.existence;
}

NoWaiting::NoWaiting(bool wanted) noexcept : before_(must_not_wait) {
  must_not_wait = before_ || wanted;
}

NoWaiting::~NoWaiting() {
  must_not_wait = before_;
}

void release_verification_lock() noexcept {
  known_lock.reset();
}

}  // namespace socks64::shim
