// What configuration and rules choose of a dial: families, the gateway's own end, and which family
// is remembered to work.
#include <netinet/in.h>
#include <string>

#include <gtest/gtest.h>

#include "base/route.hpp"
#include "rig/dial_fixture.hpp"

namespace socks64::gateway::testing {
namespace {

TEST_F(Dial, AFamilyThatMayNotBeUsedIsNotEvenAskedFor) {
  const Listener six({ip("::1"), 0});
  const Listener four({ip("127.0.0.1"), six.port()});
  name("both.test", {"127.0.0.1"}, {"::1"});
  name("six.test", {}, {"::1"});
  DialConfig config;
  config.ipv6 = false;
  EXPECT_EQ(dial(target("both.test", six.port()), config).remote, "127.0.0.1");
  EXPECT_EQ(dial(target("six.test", six.port()), config).failure, Failure::name_not_found);
  EXPECT_EQ(dns_.queries("both.test", Family::ipv6), 0);
  EXPECT_EQ(dns_.queries("six.test", Family::ipv6), 0);
  EXPECT_EQ(dial(target("::1", six.port()), config).failure, Failure::denied);
  EXPECT_EQ(dial(Endpoint{ip("::1"), six.port()}, config).failure, Failure::denied);
  EXPECT_EQ(dial(Endpoint{ip("127.0.0.1"), six.port()}, config).failure, Failure::none);
}

TEST_F(Dial, AMappedAddressIsOfTheFamilyInside) {
  const Listener four({ip("127.0.0.1"), 0});
  name("mapped.test", {}, {"::ffff:127.0.0.1"});
  DialConfig six_only;
  six_only.ipv4 = false;
  DialConfig four_only;
  four_only.ipv6 = false;
  EXPECT_EQ(dial(target("mapped.test", four.port()), six_only).failure, Failure::denied);
  EXPECT_EQ(dial(target("::ffff:127.0.0.1", four.port()), six_only).failure, Failure::denied);
  EXPECT_EQ(dial(target("::ffff:127.0.0.1", four.port()), four_only).failure, Failure::none);
}

TEST_F(Dial, ARequestMayWantLessButNotMore) {
  const Listener six({ip("::1"), 0});
  const Listener four({ip("127.0.0.1"), six.port()});
  name("both.test", {"127.0.0.1"}, {"::1"});
  DialWishes no_six;
  no_six.ipv6 = false;
  EXPECT_EQ(dial(target("both.test", six.port()), {}, permit_all, no_six).remote, "127.0.0.1");
  DialWishes four_first;
  four_first.prefer = FamilyPreference::ipv4;
  EXPECT_EQ(dial(target("both.test", six.port()), {}, permit_all, four_first).remote, "127.0.0.1");
  DialConfig six_only;
  six_only.ipv4 = false;
  EXPECT_EQ(dial(target("both.test", six.port()), six_only, permit_all, four_first).remote, "::1");
  EXPECT_EQ(dial(target("both.test", six.port()), six_only, permit_all, no_six).failure,
            Failure::denied);
}

TEST_F(Dial, TheSourceAddressOfAFamily) {
  const Listener four({ip("127.0.0.1"), 0});
  const Listener six({ip("::1"), four.port()});
  DialConfig config;
  config.source.v4 = ip("127.0.0.9");
  EXPECT_EQ(dial(Endpoint{ip("127.0.0.1"), four.port()}, config).local, "127.0.0.9");
  EXPECT_EQ(dial(Endpoint{ip("::1"), four.port()}, config).local, "::1");
  DialWishes wishes;
  wishes.source_v4 = ip("127.0.0.10");
  EXPECT_EQ(dial(target("127.0.0.1", four.port()), config, permit_all, wishes).local, "127.0.0.10");
}

TEST_F(Dial, ASourceThatIsNotOursReachesNothing) {
  const Listener four({ip("127.0.0.1"), 0});
  const Listener six({ip("::1"), four.port()});
  name("both.test", {"127.0.0.1"}, {"::1"});
  DialConfig config;
  config.source.v6 = ip("2001:db8::1");
  EXPECT_EQ(dial(Endpoint{ip("::1"), four.port()}, config).failure, Failure::network_unreachable);
  // And goes behind what can be reached, as an address without a route does.
  const Dialled both = dial(target("both.test", four.port()), config);
  EXPECT_EQ(both.remote, "127.0.0.1");
  EXPECT_EQ(both.attempts, 1U);
}

TEST_F(Dial, OnlyThroughTheInterface) {
  const Listener four({ip("127.0.0.1"), 0});
  DialConfig config;
  config.source.interface = "lo";
  EXPECT_EQ(dial(Endpoint{ip("127.0.0.1"), four.port()}, config).failure, Failure::none);
  config.source.interface = "no-such-device";
  EXPECT_EQ(dial(Endpoint{ip("127.0.0.1"), four.port()}, config).failure,
            Failure::network_unreachable);
}

// Else all destinations together would have no more ports than one.
TEST(BindSource, LeavesThePortToConnect) {
  for (const char* const own : {"127.0.0.1", "::1"}) {
    const IpAddress address = ip(own);
    Source source;
    (address.is_v4() ? source.v4 : source.v6) = address;
    const Descriptor socket(
        ::socket(address.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_FALSE(bind_source(socket.get(), address.family(), source));
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    auto* const bound = reinterpret_cast<sockaddr*>(&storage);
    ASSERT_EQ(::getsockname(socket.get(), bound, &length), 0);
    EXPECT_EQ(from_sockaddr(bound, length)->address, address);
    EXPECT_EQ(from_sockaddr(bound, length)->port, 0) << own;
  }
}

TEST(SourceTowards, IsTheOneThatIsWanted) {
  const Endpoint here{ip("127.0.0.1"), 53};
  Source source;
  source.v4 = ip("127.0.0.9");
  EXPECT_EQ(source_towards(here, source), ip("127.0.0.9"));
  source.v4 = ip("192.0.2.1");
  EXPECT_EQ(source_towards(here, source), std::nullopt);
  source.v4.reset();
  source.interface = "no-such-device";
  EXPECT_EQ(source_towards(here, source), std::nullopt);
}

TEST_F(Dial, ABlackHoleIsRememberedForOneNameAndPort) {
  const BlackHole hole({ip("::1"), 0});
  const Listener good({ip("127.0.0.1"), hole.port()});
  name("hole.test", {"127.0.0.1"}, {"::1"});
  name("other.test", {"127.0.0.1"}, {"::1"});
  const Dialer dialer(resolver_, {});
  EXPECT_EQ(dial(dialer, target("hole.test", hole.port())).attempts, 2U);
  const Dialled again = dial(dialer, target("HOLE.Test.", hole.port()));
  EXPECT_EQ(again.remote, "127.0.0.1");
  EXPECT_EQ(again.attempts, 1U) << "the black hole was tried again";
  EXPECT_EQ(dial(dialer, target("other.test", hole.port())).attempts, 2U);
  const Listener six({ip("::1"), 0});
  EXPECT_EQ(dial(dialer, target("hole.test", six.port())).remote, "::1")
      << "one port says nothing of another";
}

TEST_F(Dial, ARefusalIsRemembered) {
  const Listener good({ip("127.0.0.1"), 0});
  name("half.test", {"127.0.0.1"}, {"::1"});
  const Dialer dialer(resolver_, {});
  EXPECT_EQ(dial(dialer, target("half.test", good.port())).attempts, 2U);
  EXPECT_EQ(dial(dialer, target("half.test", good.port())).attempts, 1U);
}

TEST_F(Dial, WhatIsRememberedMayBeWrongByNow) {
  const Listener six({ip("::1"), 0});
  name("moved.test", {"127.0.0.1"}, {"::1"});
  const Dialer dialer(resolver_, {});
  Port port = 0;
  {
    const Listener four({ip("127.0.0.1"), 0});
    port = four.port();
    EXPECT_EQ(dial(dialer, target("moved.test", port)).attempts, 2U);
  }
  const Listener now_six({ip("::1"), port});
  const Dialled moved = dial(dialer, target("moved.test", port));
  EXPECT_EQ(moved.remote, "::1");
  EXPECT_EQ(moved.attempts, 2U);
  EXPECT_EQ(dial(dialer, target("moved.test", port)).attempts, 1U);
}

TEST_F(Dial, NamesThatWorkKeepTheirOrder) {
  const Listener six({ip("::1"), 0});
  const Listener four({ip("127.0.0.1"), six.port()});
  name("both.test", {"127.0.0.1"}, {"::1"});
  const Dialer dialer(resolver_, {});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(dial(dialer, target("both.test", six.port())).remote, "::1");
  }
}

TEST(FamilyMemory, ForgetsInTime) {
  FamilyMemory memory(10min);
  const FamilyMemory::Time now = Clock::now();
  const FamilyMemory::Key key = memory.key("a.test", 80);
  EXPECT_EQ(memory.recall(key, now), std::nullopt);
  memory.learn(key, Family::ipv4, now);
  EXPECT_EQ(memory.recall(key, now), Family::ipv4);
  EXPECT_EQ(memory.recall(key, now + 9min), Family::ipv4);
  EXPECT_EQ(memory.recall(key, now + 11min), std::nullopt);
  memory.learn(key, Family::ipv6, now);
  EXPECT_EQ(memory.recall(key, now), Family::ipv6);
}

TEST_F(Dial, MemoryMayBeSwitchedOff) {
  const Listener good({ip("127.0.0.1"), 0});
  name("half.test", {"127.0.0.1"}, {"::1"});
  DialConfig forgetful;
  forgetful.family_memory = 0s;
  const Dialer dialer(resolver_, forgetful);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(dial(dialer, target("half.test", good.port())).attempts, 2U);
  }
}

TEST(FamilyMemory, KeepsDestinationsApart) {
  FamilyMemory memory(10min);
  const FamilyMemory::Time now = Clock::now();
  memory.learn(memory.key("a.test", 80), Family::ipv4, now);
  EXPECT_EQ(memory.recall(memory.key("a.test", 443), now), std::nullopt);
  EXPECT_EQ(memory.recall(memory.key("b.test", 80), now), std::nullopt);
  // Far more than it holds: nobody is ever given what another one left.
  for (int i = 0; i < 100'000; ++i) {
    const FamilyMemory::Key key = memory.key("n" + std::to_string(i) + ".test", 80);
    ASSERT_EQ(memory.recall(key, now), std::nullopt) << i;
    memory.learn(key, Family::ipv6, now);
    ASSERT_EQ(memory.recall(key, now), Family::ipv6) << i;
  }
}

}  // namespace
}  // namespace socks64::gateway::testing
