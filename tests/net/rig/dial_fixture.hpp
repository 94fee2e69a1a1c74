// The dialler, its names, and a place to run it.
#ifndef SOCKS64_TESTS_NET_DIAL_DIAL_FIXTURE_HPP
#define SOCKS64_TESTS_NET_DIAL_DIAL_FIXTURE_HPP

#include <chrono>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string>
#include <sys/socket.h>
#include <vector>

#include <gtest/gtest.h>

#include "dial/dial.hpp"
#include "rig/dns_server.hpp"
#include "rig/peers.hpp"

namespace socks64::gateway::testing {

using namespace std::chrono_literals;

inline bool permit_all(const Endpoint& /*unused*/) {
  return true;
}

struct Dialled {
  Failure failure;
  std::string remote;
  std::string local;
  unsigned attempts;
  std::chrono::milliseconds took;
};

/// Parameters by value: what a coroutine refers to must live as long as it does.
inline Task<DialResult> dialled(const Dialer& dialer, Target to, AddressFilter permit,
                                DialWishes wishes = {}) {
  co_return co_await dialer.dial(to, permit, wishes);
}

class Dial : public ::testing::Test {
 protected:
  Dial() : resolver_(config()) {
    // Asio opens its reactor's descriptors with the first use: now, not while somebody counts.
    const Timer first_use(context_.get_executor());
    const Socket first_socket(context_.get_executor());
  }

  ResolverConfig config() const {
    ResolverConfig made;
    made.servers = {dns_.endpoint()};
    made.hosts_file = hosts_.path();
    made.query_timeout = 60s;
    return made;
  }
  Dialled dial(const Target& to, const DialConfig& config = {},
               const AddressFilter& permit = permit_all, const DialWishes& wishes = {}) {
    return dial(Dialer(resolver_, config), to, permit, wishes);
  }
  Dialled dial(const Dialer& dialer, const Target& to, const AddressFilter& permit = permit_all,
               const DialWishes& wishes = {}) {
    const Clock::time_point start = Clock::now();
    DialResult result = run(context_, dialled(dialer, to, permit, wishes));
    const auto took = elapsed_since(start);
    EXPECT_EQ(result.socket.has_value(), result.failure == Failure::none);
    if (result.socket) {
      check(result);
    }
    return {result.failure, std::string(result.remote.address.text().view()),
            std::string(result.local.address.text().view()), result.attempts, took};
  }
  /// What every connected socket must be.
  static void check(DialResult& result) {
    const int fd = result.socket->native_handle();
    EXPECT_NE(::fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    int no_delay = 0;
    socklen_t size = sizeof no_delay;
    ::getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size);
    EXPECT_NE(no_delay, 0);
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    auto* const address = reinterpret_cast<sockaddr*>(&storage);
    ASSERT_EQ(::getpeername(fd, address, &length), 0);
    EXPECT_EQ(*from_sockaddr(address, length), result.remote);
    length = sizeof storage;
    ASSERT_EQ(::getsockname(fd, address, &length), 0);
    EXPECT_EQ(*from_sockaddr(address, length), result.local);
  }
  void name(const std::string& text, std::vector<std::string> v4,
            std::vector<std::string> v6 = {}) {
    dns_.script(text, Family::ipv4, {.addresses = std::move(v4)});
    dns_.script(text, Family::ipv6, {.addresses = std::move(v6)});
  }

  DnsServer dns_;
  TemporaryFile hosts_{"127.0.0.1 inhosts\n"};
  asio::io_context context_{1};
  Resolver resolver_;
};

}  // namespace socks64::gateway::testing

#endif
