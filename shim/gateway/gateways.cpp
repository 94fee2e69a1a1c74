// The gateways, as one fork family sees them.
//
// A connect walks over candidates (an address of a gateway; most have one) until one of them does
// its part. Which have failed lately, and what the names among them resolve to, is shared over
// fork: a server that forks a child for each client must not pay for a dead gateway in each. It is
// a few pages of atomics, mapped at start-up.
//
// A gateway's own name is the one exception to "no name is resolved locally" (RFC 3089 section 3):
// nobody else could. libc is asked, at the first connect that needs it, with all the means of the
// host; what libc and its NSS modules call meanwhile is none of our business, so hooks pass the
// calls of that thread on. An answer is kept for the life of the family. A name that cannot be
// resolved is a gateway that failed, and is tried again after the cool-down.
#include "gateway/gateways.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <netdb.h>
#include <new>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "socks64/sockaddr.hpp"

#include "host/hook_table.hpp"
#include "process/diag.hpp"
#include "process/runtime.hpp"
#include "tables/fake_ip_table.hpp"

namespace socks64::shim {
namespace {

__attribute__((tls_model("initial-exec"))) thread_local bool resolving = false;

}  // namespace

bool resolving_gateway() noexcept {
  return resolving;
}

Gateways& gateways() noexcept {
  static constinit Gateways all;
  return all;
}

void Gateways::start() noexcept {
  void* memory =
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory != MAP_FAILED) {
    shared_ = new (memory) Shared();
  }
}

GatewayWalk Gateways::begin() noexcept {
  return begin_at(config().balance == Balance::round_robin
                      ? shared_->turn.fetch_add(1, std::memory_order_relaxed)
                      : 0);
}

GatewayWalk Gateways::begin_aside() noexcept {
  return begin_at(
      config().balance == Balance::round_robin ? shared_->turn.load(std::memory_order_relaxed) : 0);
}

GatewayWalk Gateways::begin_at(std::uint32_t place) noexcept {
  GatewayWalk walk;
  const std::size_t count = config().gateways.size();
  if (config().balance == Balance::random) {
    const ErrnoGuard guard;
    if (syscall(SYS_getrandom, &place, sizeof(place), 1 /* GRND_NONBLOCK */) != sizeof(place)) {
      place = static_cast<std::uint32_t>(now() >> 8U);
    }
  }
  walk.start = static_cast<std::uint8_t>(place % count);
  return walk;
}

Gateways::Pick Gateways::pick(const GatewayWalk& walk, Nanoseconds time) const noexcept {
  const GatewayList& list = config().gateways;
  Pick best;
  Nanoseconds earliest = never;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto gateway = static_cast<std::uint8_t>((walk.start + i) % list.size());
    const bool named = list[gateway].kind == Gateway::Kind::name;
    const std::uint8_t known =
        named ? shared_->names[gateway].count.load(std::memory_order_acquire) : std::uint8_t{1};
    for (std::uint8_t address = 0; address < std::max<std::uint8_t>(known, 1); ++address) {
      const Candidate candidate{gateway, address};
      if (walk.tried(candidate)) {
        continue;
      }
      const Pick pick{known == 0 ? Pick::Kind::unresolved : Pick::Kind::candidate, candidate};
      const Nanoseconds until =
          shared_->cooling_until[GatewayWalk::index_of(candidate)].load(std::memory_order_relaxed);
      if (until <= time) {
        return pick;
      }
      if (until < earliest) {
        earliest = until;
        best = pick;
      }
    }
  }
  return best;
}

void Gateways::failed(Candidate candidate, Nanoseconds time) noexcept {
  shared_->cooling_until[GatewayWalk::index_of(candidate)].store(
      time + config().cooldown_seconds * nanoseconds_per_second, std::memory_order_relaxed);
}

void Gateways::works(Candidate candidate) noexcept {
  shared_->cooling_until[GatewayWalk::index_of(candidate)].store(0, std::memory_order_relaxed);
}

Gateways::Address Gateways::address(Candidate candidate) const noexcept {
  const Gateway& gateway = config().gateways[candidate.gateway];
  Address out;
  if (gateway.kind == Gateway::Kind::unix_socket) {
    auto& socket = reinterpret_cast<sockaddr_un&>(out.storage);
    socket.sun_family = AF_UNIX;
    std::memcpy(socket.sun_path, gateway.place.data(), gateway.place_size);
    out.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + gateway.place_size + 1);
    return out;
  }
  out.length = to_sockaddr(gateway.kind == Gateway::Kind::address
                               ? gateway.endpoint
                               : shared_->names[candidate.gateway].list[candidate.address],
                           out.storage);
  return out;
}

Gateways::Text Gateways::text(Candidate candidate) const noexcept {
  const Gateway& gateway = config().gateways[candidate.gateway];
  Text out;
  out.append(gateway.text());
  const Addresses& name = shared_->names[candidate.gateway];
  if (gateway.kind == Gateway::Kind::name &&
      candidate.address < name.count.load(std::memory_order_acquire)) {
    out.append(" at ");
    out.append(name.list[candidate.address].address.text());
  }
  return out;
}

bool Gateways::resolve(Candidate candidate) noexcept {
  const Gateway& gateway = config().gateways[candidate.gateway];
  Addresses& name = shared_->names[candidate.gateway];
  if (name.count.load(std::memory_order_acquire) != 0) {
    return true;
  }
  if (resolving) {
    return false;  // libc's own resolving has come back to us
  }
  const ErrnoGuard errno_guard;
  // A signal handler that leaves by longjmp, or a cancellation, would leave the hooks passing
  // through, and open: they wait until libc has answered.
  const SignalBlock signals;
  int cancellable = 0;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellable);
  std::array<char, 256> text{};
  std::memcpy(text.data(), gateway.place.data(), gateway.place_size);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* answer = nullptr;
  resolving = true;
  const int error = libc::getaddrinfo(text.data(), nullptr, &hints, &answer);
  std::array<Endpoint, GatewayWalk::max_addresses> found{};
  std::uint8_t count = 0;
  for (const addrinfo* each = error == 0 ? answer : nullptr; each != nullptr;
       each = each->ai_next) {
    const Result<Endpoint> endpoint = from_sockaddr(each->ai_addr, each->ai_addrlen);
    // A fake address would lead back to us.
    if (endpoint && count < found.size() && !fake_ips().covers(endpoint->address)) {
      found[count++] = {endpoint->address, gateway.endpoint.port};
    }
  }
  if (error == 0) {
    libc::freeaddrinfo(answer);
  }
  resolving = false;
  pthread_setcancelstate(cancellable, nullptr);
  if (count == 0) {
    failed(candidate, now());
    diagnose(LogLevel::error, {"the gateway's name ", gateway.place_view(), " cannot be resolved: ",
                               error == 0 ? "no usable address" : gai_strerror(error)});
    return false;
  }
  const WordGuard guard(name.lock);
  if (guard.held() && name.count.load(std::memory_order_relaxed) == 0) {
    name.list = found;
    works(candidate);
    name.count.store(count, std::memory_order_release);
  }
  return true;
}

bool Gateways::has_resolved(const Endpoint& endpoint) const noexcept {
  for (const Addresses& name : shared_->names) {
    const std::uint8_t count = name.count.load(std::memory_order_acquire);
    const auto* const end = name.list.begin() + count;
    if (std::find(name.list.begin(), end, endpoint) != end) {
      return true;
    }
  }
  return false;
}

}  // namespace socks64::shim
