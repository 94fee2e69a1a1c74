// Tries to break the order, the end or the count of what relays carry, at random and for as long as
// it is told: octets that are there before the relay is, FIN right behind octets, RST in the
// middle, readers that stop for a while, small buffers, both directions at once, messages of every
// size, IPv4 and IPv6 in every mix. Every octet is compared, and where a stream may end.
//
//   ninja relay_soak && build/.../relay_soak [--way kernel|adaptive|copy|splice] [--seconds 30]
//                                            [--threads 6] [--seed 1] [--small] [--turns 0]
//
// --small: relays of small messages only, which are those that the kernel gets; --turns: how many
// turns of small messages come before it gets one. `dmesg` should have nothing new afterwards. It
// exits with 1, and says what was seen, when anything is wrong. What it found is in
// docs/decisions/0008-kernel-relay.md.
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <random>
#include <string_view>

#include "rig/relay_rig.hpp"

namespace {

using namespace socks64::gateway;
using Wall = std::chrono::steady_clock;
using Random = std::mt19937_64;

constexpr std::size_t kRoom = 262'144;

struct Totals {
  std::atomic<std::uint64_t> relays{0};
  std::atomic<std::uint64_t> resets{0};
  std::atomic<std::uint64_t> octets{0};
  std::atomic<std::uint64_t> redirected{0};
  std::atomic<std::uint64_t> failures{0};
  std::atomic<std::uint64_t> live{0};
};

std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31U);
}

/// The octets of stream `seed` from `position` on: each is known from its place alone.
void fill(char* out, std::size_t size, std::uint64_t seed, std::uint64_t position) {
  for (std::size_t i = 0; i < size;) {
    const std::uint64_t word = mix(seed + (position + i) / 8);
    for (std::size_t part = (position + i) % 8; part < 8 && i < size; ++part, ++i) {
      out[i] = static_cast<char>(word >> (8 * part));
    }
  }
}

std::pair<rig::Fd, rig::Fd> pair_of(int family, int buffers) {
  rig::Fd listener(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  rig::Fd near(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  for (const rig::Fd* fd : {&listener, &near}) {
    if (buffers == 0) {
      break;
    }
    ::setsockopt(fd->get(), SOL_SOCKET, SO_RCVBUF, &buffers, sizeof buffers);
    ::setsockopt(fd->get(), SOL_SOCKET, SO_SNDBUF, &buffers, sizeof buffers);
  }
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_in6);
  storage.ss_family = static_cast<sa_family_t>(family);
  if (family == AF_INET) {
    size = sizeof(sockaddr_in);
    reinterpret_cast<sockaddr_in*>(&storage)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  } else {
    reinterpret_cast<sockaddr_in6*>(&storage)->sin6_addr = in6addr_loopback;
  }
  auto* const name = reinterpret_cast<sockaddr*>(&storage);
  rig::must(::bind(listener.get(), name, size) == 0, "bind");
  rig::must(::listen(listener.get(), 1) == 0, "listen");
  rig::must(::getsockname(listener.get(), name, &size) == 0, "getsockname");
  rig::must(::connect(near.get(), name, size) == 0, "connect");
  rig::Fd far(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  rig::must(far.get() >= 0, "accept");
  const int on = 1;
  for (const rig::Fd* fd : {&near, &far}) {
    ::setsockopt(fd->get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  return {std::move(near), std::move(far)};
}

class Owner final : public RelayOwner {
 public:
  explicit Owner(Totals& totals) : totals_(totals) {}
  void ended(const RelayReport& report) noexcept override {
    totals_.redirected += report.octets_redirected;
    --totals_.live;
  }

 private:
  Totals& totals_;
};

void begin(rig::Worker& worker, int client, int destination, Totals& totals) {
  const int on = 1;
  ::setsockopt(client, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
  for (const int fd : {client, destination}) {
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
  }
  const Executor executor = worker.context().get_executor();
  make_relay(
      {Socket(executor, Descriptor(client)), Socket(executor, Descriptor(destination)), {}, {}, {}},
      worker.pool(), std::make_unique<Owner>(totals))
      .start();
}

/// One direction as its two ends see it.
struct Flow {
  std::uint64_t seed = 0;
  std::uint64_t total = 0;
  std::size_t chunk = 1;
  std::chrono::microseconds gap{0};           ///< up to so long between two writes
  std::uint64_t stop_at = ~std::uint64_t{0};  ///< the reader stops here for `stop_for`
  std::chrono::microseconds stop_for{0};

  std::uint64_t sent = 0;
  std::uint64_t got = 0;
  bool fin = false;
  bool eof = false;
  Wall::time_point next_write{};
  Wall::time_point stopped{};
};

class Case {
 public:
  Case(Random& random, bool small) : random_(random) {
    buffers_ = chance(25) ? static_cast<int>(pick(4'096, 65'536)) : 0;
    const std::array<int, 6> small_kinds{0, 1, 1, 1, 2, 5};
    kind_ = small ? small_kinds[pick(0, 5)] : static_cast<int>(pick(0, 5));
    for (Flow& flow : flows_) {
      const std::uint64_t most[] = {0, 60'000, 50'000, 4'000'000, 300'000, 200};
      flow.seed = random_();
      flow.total = pick(0, most[kind_]);
      flow.chunk = kind_ == 3 ? pick(1'000, 200'000) : pick(1, chance(50) ? 100 : 6'000);
      if (chance(40)) {
        flow.gap = std::chrono::microseconds(pick(1, 300));
      }
      if (flow.gap.count() != 0) {
        flow.chunk = std::max(flow.chunk, flow.total / 300 + 1);
      }
      if (chance(25)) {
        flow.stop_at = pick(0, flow.total);
      }
      flow.stop_for = std::chrono::microseconds(pick(100, 60'000));
    }
    resets_ = chance(20);
    resetter_ = pick(0, 1);
    reset_at_ = pick(0, flows_[0].total + flows_[1].total);
  }

  void run(rig::Worker& worker, Totals& totals) {
    const auto family = [this] { return chance(50) ? AF_INET : AF_INET6; };
    auto [client, client_side] = pair_of(family(), buffers_);
    auto [destination_side, destination] = pair_of(family(), chance(50) ? buffers_ : 0);
    ends_ = {std::move(client), std::move(destination)};
    for (const rig::Fd& end : ends_) {
      ::fcntl(end.get(), F_SETFL, O_NONBLOCK);
    }
    if (chance(50)) {
      send_early();
    }
    ++totals.live;
    asio::post(worker.context(), [&worker, &totals, a = client_side.take(),
                                  b = destination_side.take()] { begin(worker, a, b, totals); });
    exchange(totals);
    ++totals.relays;
    totals.resets += did_reset_ ? 1 : 0;
    if (problem_ == nullptr) {
      return;
    }
    ++totals.failures;
    std::fprintf(stderr, "%s: kind %d, buffers %d, reset %d of %d", problem_, kind_, buffers_,
                 did_reset_, resets_);
    for (const Flow& flow : flows_) {
      std::fprintf(stderr, "; got %zu, sent %zu, total %zu, chunk %zu, fin %d, eof %d",
                   std::size_t{flow.got}, std::size_t{flow.sent}, std::size_t{flow.total},
                   flow.chunk, flow.fin, flow.eof);
    }
    std::fputc('\n', stderr);
  }

 private:
  std::uint64_t pick(std::uint64_t least, std::uint64_t most) {
    return least + random_() % (most - least + 1);
  }
  bool chance(unsigned percent) { return random_() % 100 < percent; }

  /// Before the relay has the sockets, with FIN behind it or without.
  void send_early() {
    for (std::size_t i = 0; i < 2; ++i) {
      Flow& flow = flows_[i];
      const std::size_t size = std::min<std::uint64_t>(flow.total, pick(1, 30'000));
      fill(room_.data(), size, flow.seed, 0);
      const ssize_t put = ::send(ends_[i].get(), room_.data(), size, MSG_NOSIGNAL);
      if (put > 0) {
        flow.sent = static_cast<std::uint64_t>(put);
      }
      if (flow.sent == flow.total && chance(50)) {
        finish(i);
      }
    }
  }
  void finish(std::size_t i) {
    ::shutdown(ends_[i].get(), SHUT_WR);
    flows_[i].fin = true;
  }

  [[nodiscard]] bool may_write(std::size_t i, Wall::time_point now, int& wait) const {
    const Flow& out = flows_[i];
    const Flow& answer = flows_[1 - i];
    if (out.fin) {
      return false;
    }
    if (now < out.next_write) {
      wait = 1;
      return false;
    }
    // In turns, roughly.
    return kind_ != 1 || out.sent == out.total || answer.sent == answer.total ||
           out.sent <= answer.sent + out.chunk;
  }
  [[nodiscard]] bool may_read(std::size_t i, Wall::time_point now, int& wait) {
    Flow& in = flows_[1 - i];
    if (in.eof) {
      return false;
    }
    if (in.got < in.stop_at) {
      return true;
    }
    if (in.stopped == Wall::time_point{}) {
      in.stopped = now;
    }
    if (now - in.stopped >= in.stop_for) {
      return true;
    }
    wait = 1;
    return false;
  }

  void exchange(Totals& totals) {
    for (int still = 0; problem_ == nullptr;) {
      if (resets_ && !did_reset_ && flows_[0].got + flows_[1].got >= reset_at_) {
        ends_[resetter_].reset();
        gone_[resetter_] = did_reset_ = true;
      }
      const Flow& from_resetter = flows_[resetter_];
      if (did_reset_ && (gone_[1 - resetter_] || from_resetter.eof)) {
        return;
      }
      if (flows_[0].eof && flows_[1].eof && flows_[0].fin && flows_[1].fin) {
        return;
      }
      const Wall::time_point now = Wall::now();
      int wait = 100;
      std::array<pollfd, 2> polled{};
      for (std::size_t i = 0; i < 2; ++i) {
        short events = 0;
        if (may_write(i, now, wait)) {
          events |= POLLOUT;
        }
        if (may_read(i, now, wait)) {
          events |= POLLIN;
        }
        polled[i] = {gone_[i] ? -1 : ends_[i].get(), events, 0};
      }
      const int ready = ::poll(polled.data(), 2, wait);
      still = ready > 0 ? 0 : still + (wait == 100 ? 1 : 0);
      if (still > 200) {
        problem_ = "STUCK";
      }
      for (std::size_t i = 0; i < 2 && problem_ == nullptr; ++i) {
        if (gone_[i]) {
          continue;
        }
        if ((polled[i].revents & polled[i].events & POLLOUT) != 0) {
          write(i);
        }
        const bool asked = (polled[i].events & POLLIN) != 0;
        const short seen = polled[i].revents;
        if (!gone_[i] && ((asked && (seen & (POLLIN | POLLHUP)) != 0) || (seen & POLLERR) != 0)) {
          read(i, totals);
        }
      }
      if (!did_reset_ && (gone_[0] || gone_[1])) {
        problem_ = "A RESET FROM NOWHERE";
      }
    }
  }

  void write(std::size_t i) {
    Flow& flow = flows_[i];
    if (flow.sent < flow.total) {
      const std::size_t size =
          std::min<std::uint64_t>({flow.chunk, flow.total - flow.sent, room_.size()});
      fill(room_.data(), size, flow.seed, flow.sent);
      const ssize_t put = ::send(ends_[i].get(), room_.data(), size, MSG_NOSIGNAL);
      if (put > 0) {
        flow.sent += static_cast<std::uint64_t>(put);
      } else if (errno != EAGAIN) {
        gone_[i] = true;
        return;
      }
      if (flow.gap.count() != 0) {
        flow.next_write = Wall::now() + std::chrono::microseconds(
                                            pick(0, static_cast<std::uint64_t>(flow.gap.count())));
      }
    }
    if (flow.sent == flow.total) {
      finish(i);
    }
  }

  void read(std::size_t i, Totals& totals) {
    Flow& flow = flows_[1 - i];
    const ssize_t got = ::recv(ends_[i].get(), room_.data(), pick(1, room_.size()), 0);
    if (got > 0) {
      const auto size = static_cast<std::size_t>(got);
      fill(expected_.data(), size, flow.seed, flow.got);
      if (std::memcmp(expected_.data(), room_.data(), size) != 0) {
        problem_ = "WRONG OCTETS";
      }
      flow.got += size;
      totals.octets += size;
    } else if (got == 0) {
      flow.eof = true;
      if (!flow.fin || flow.got != flow.total) {
        problem_ = "AN EOF BEFORE THE END";
      }
    } else if (errno != EAGAIN) {
      gone_[i] = true;
    }
  }

  Random& random_;
  int kind_ = 0;  ///< nothing, in turns, small, bulk, mixed, short
  int buffers_ = 0;
  bool resets_ = false;
  bool did_reset_ = false;
  std::size_t resetter_ = 0;
  std::uint64_t reset_at_ = 0;
  std::array<Flow, 2> flows_;
  std::array<rig::Fd, 2> ends_;
  std::array<bool, 2> gone_{};
  const char* problem_ = nullptr;
  std::vector<char> room_ = std::vector<char>(kRoom);
  std::vector<char> expected_ = std::vector<char>(kRoom);
};

}  // namespace

int main(int argc, char** argv) {
  rig::Way way = rig::Way::kernel;
  int seconds = 30;
  unsigned threads = 6;
  std::uint64_t seed = 1;
  unsigned turns = 0;
  bool small = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    const char* const value = i + 1 < argc ? argv[i + 1] : "";
    if (option == "--small") {
      small = true;
      continue;
    }
    ++i;
    if (option == "--way") {
      for (const rig::Way each :
           {rig::Way::adaptive, rig::Way::copy, rig::Way::splice, rig::Way::kernel}) {
        if (std::string_view(value) == rig::name_of(each)) {
          way = each;
        }
      }
    } else if (option == "--seconds") {
      seconds = std::atoi(value);
    } else if (option == "--threads") {
      threads = static_cast<unsigned>(std::atoi(value));
    } else if (option == "--seed") {
      seed = std::strtoull(value, nullptr, 10);
    } else if (option == "--turns") {
      turns = static_cast<unsigned>(std::atoi(value));
    } else {
      std::puts("see the beginning of soak.cpp");
      return 2;
    }
  }
  if (const std::string missing = rig::missing_for(way); !missing.empty()) {
    std::puts(missing.c_str());
    return 77;
  }
  RelayPoolConfig config = rig::by(way);
  config.small_turns_to_kernel = turns;
  rig::Worker worker(config);
  Totals totals;
  std::vector<std::thread> peers;
  const auto end = Wall::now() + std::chrono::seconds(seconds);
  for (unsigned id = 0; id < threads; ++id) {
    peers.emplace_back([&, id] {
      Random random(seed * 1'000 + id);
      while (Wall::now() < end && totals.failures < 10) {
        Case(random, small).run(worker, totals);
      }
    });
  }
  for (std::thread& peer : peers) {
    peer.join();
  }
  for (int i = 0; i < 100 && totals.live != 0; ++i) {
    ::poll(nullptr, 0, 100);
  }
  if (totals.live != 0) {
    ++totals.failures;
  }
  std::printf(
      "%s, seed %zu: %zu relays, %zu resets, %.1f MB, %.1f MB of it by the kernel, "
      "%zu left over, %zu failures\n",
      rig::name_of(way), std::size_t{seed}, std::size_t{totals.relays}, std::size_t{totals.resets},
      static_cast<double>(totals.octets) * 1e-6, static_cast<double>(totals.redirected) * 1e-6,
      std::size_t{totals.live}, std::size_t{totals.failures});
  return totals.failures == 0 ? 0 : 1;
}
