// How many sessions a client has, and how fast it opens them: the table, and the daemon.
#include "accept/client_limits.hpp"

#include <memory>
#include <system_error>
#include <vector>

#include <gtest/gtest.h>

#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {
namespace {

using namespace std::chrono_literals;
using Verdict = ClientTable::Verdict;

class Clients : public ::testing::Test {
 protected:
  using Clock = ClientTable::Clock;

  Verdict admit(ClientTable& table, const Client& client, Clock::duration later = {}) {
    tickets_.push_back(std::make_unique<Ticket<Counter>>());
    const Verdict verdict = table.admit(client, *tickets_.back(), now_ + later);
    if (verdict != Verdict::admitted) {
      tickets_.pop_back();
    }
    return verdict;
  }
  Verdict admit(ClientTable& table, std::string_view address, Clock::duration later = {}) {
    return admit(table, Client(endpoint(address, 1000)), later);
  }

  std::vector<std::unique_ptr<Ticket<Counter>>> tickets_;
  Clock::time_point now_ = Clock::now();
};

TEST_F(Clients, WithoutLimitsNothingIsRemembered) {
  ClientTable table({});
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(admit(table, "192.0.2.1"), Verdict::admitted);
  }
  EXPECT_EQ(table.size(), 0U);
}

TEST_F(Clients, SessionsAreCountedForEach) {
  ClientTable table({2, 0});
  EXPECT_EQ(admit(table, "192.0.2.1"), Verdict::admitted);
  EXPECT_EQ(admit(table, "192.0.2.1"), Verdict::admitted);
  EXPECT_EQ(admit(table, "192.0.2.1"), Verdict::too_many);
  EXPECT_EQ(admit(table, "192.0.2.2"), Verdict::admitted);
  tickets_.erase(tickets_.begin());
  EXPECT_EQ(admit(table, "192.0.2.1"), Verdict::admitted);
  EXPECT_EQ(admit(table, "192.0.2.1"), Verdict::too_many);
  tickets_.clear();
}

TEST_F(Clients, RateHasABurstAndRecovers) {
  ClientTable table({0, 10});
  int admitted = 0;
  for (int i = 0; i < 100; ++i) {
    admitted += admit(table, "192.0.2.1") == Verdict::admitted ? 1 : 0;
  }
  EXPECT_EQ(admitted, 20);
  EXPECT_EQ(admit(table, "192.0.2.1", 50ms), Verdict::too_fast);
  EXPECT_EQ(admit(table, "192.0.2.1", 110ms), Verdict::admitted);
  EXPECT_EQ(admit(table, "192.0.2.1", 120ms), Verdict::too_fast);
  EXPECT_EQ(admit(table, "192.0.2.2", 120ms), Verdict::admitted);
  tickets_.clear();
}

TEST_F(Clients, ABlockOfAddressesIsOneClient) {
  ClientTable table({1, 0, 24, 64});
  EXPECT_EQ(admit(table, "192.0.2.1"), Verdict::admitted);
  EXPECT_EQ(admit(table, "192.0.2.200"), Verdict::too_many);
  EXPECT_EQ(admit(table, "192.0.3.1"), Verdict::admitted);
  EXPECT_EQ(admit(table, "2001:db8:0:1::1"), Verdict::admitted);
  EXPECT_EQ(admit(table, "2001:db8:0:1:ffff:ffff:ffff:ffff"), Verdict::too_many);
  EXPECT_EQ(admit(table, "2001:db8:0:2::1"), Verdict::admitted);
  tickets_.clear();
}

TEST_F(Clients, OfAUnixSocketAreUsers) {
  ClientTable table({1, 0});
  EXPECT_EQ(admit(table, Client(Client::Process{1000, 1})), Verdict::admitted);
  EXPECT_EQ(admit(table, Client(Client::Process{1000, 2})), Verdict::too_many);
  EXPECT_EQ(admit(table, Client(Client::Process{1001, 3})), Verdict::admitted);
  tickets_.clear();
}

TEST_F(Clients, AFullTableForgetsOnlyWhatMakesNoDifference) {
  constexpr std::size_t capacity = 100;
  ClientTable table({2, 1}, capacity);
  // One has a session, the next a rate that has not recovered: 2 a second at once, and 2 were.
  EXPECT_EQ(admit(table, "192.0.2.1"), Verdict::admitted);
  EXPECT_EQ(admit(table, "192.0.2.1"), Verdict::admitted);
  EXPECT_EQ(admit(table, "192.0.2.2"), Verdict::admitted);
  EXPECT_EQ(admit(table, "192.0.2.2"), Verdict::admitted);
  tickets_.resize(2);
  // A crowd that pushes.
  for (std::uint32_t i = 0; i < 10'000; ++i) {
    (void)admit(table, Client(Endpoint{IpAddress::v4(0x0a000000U + i), 1}));
    tickets_.resize(2);
    EXPECT_LE(table.size(), capacity);
  }
  EXPECT_EQ(admit(table, "192.0.2.1"), Verdict::too_many);
  EXPECT_EQ(admit(table, "192.0.2.2"), Verdict::too_fast);
  // Later the crowd is forgotten, and who has sessions is not.
  for (unsigned i = 0; i < 100; ++i) {
    (void)admit(table, Client(Endpoint{IpAddress::v4(0x0b000000U + i), 1}), 1h);
    tickets_.resize(2);
  }
  EXPECT_LE(table.size(), 2 * capacity);
  EXPECT_EQ(admit(table, "192.0.2.1", 1h), Verdict::too_many);
  EXPECT_EQ(admit(table, "192.0.2.2", 1h), Verdict::admitted);
  tickets_.clear();
}

// Whoever comes from ever more addresses when the table is full is limited as a few clients are.
TEST_F(Clients, NewcomersToAFullTableAreLimitedTogether) {
  ClientTable table({1, 0}, 100);
  unsigned admitted = 0;
  for (unsigned i = 0; i < 10'000; ++i) {
    const Client client(Endpoint{IpAddress::v4(0x0a000000U + i), 1});
    admitted += admit(table, client) == Verdict::admitted ? 1U : 0U;
  }
  EXPECT_GE(admitted, 100U);
  EXPECT_LE(admitted, 164U);
  EXPECT_EQ(table.size(), 100U);
  tickets_.clear();
}

TEST_F(Clients, RefusalsAreReportedNowAndThen) {
  ClientTable table({1, 0});
  EXPECT_FALSE(table.report_refusals(now_));
  (void)admit(table, "192.0.2.1");
  (void)admit(table, "192.0.2.1");
  const auto first = table.report_refusals(now_);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->too_many, 1U);
  for (int i = 0; i < 1000; ++i) {
    (void)admit(table, "192.0.2.1");
  }
  EXPECT_FALSE(table.report_refusals(now_ + 9s));
  const auto second = table.report_refusals(now_ + 11s);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->too_many, 1000U);
  EXPECT_NE(second->text().find("from 192.0.2.1:1000"), std::string::npos) << second->text();
  EXPECT_FALSE(table.report_refusals(now_ + 30s));
  tickets_.clear();
}

/// Connects, and whether the gateway resets that at once. Whichever call meets the reset first is
/// told of it, and the next is not: be it connect(2), when its thread is woken late.
bool is_reset(const GatewayProcess& gateway) {
  try {
    Stream client = Stream::connect(gateway.listener());
    if (!client.try_send("\x05")) {
      return true;
    }
    client.finish();
    bool reset = false;
    (void)client.receive_all(&reset);
    return reset;
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::connection_reset);
    return true;
  }
}

TEST(ClientLimits, OneTooManyIsResetAtOnce) {
  GatewayProcess gateway("[limits]\nsessions_per_client = 2\n");
  Destination destination;
  Stream first = Stream::connect(gateway.listener());
  Stream second = Stream::connect(gateway.listener());
  ASSERT_EQ(ask(first, destination.endpoint()).code, 0);
  ASSERT_EQ(ask(second, destination.endpoint()).code, 0);
  EXPECT_TRUE(is_reset(gateway));
  EXPECT_NE(gateway.wait_for_log("1 connections were refused"), "");
  // When one ends, there is room again.
  first.reset();
  (void)gateway.next_record();
  Stream fourth = Stream::connect(gateway.listener());
  EXPECT_EQ(ask(fourth, destination.endpoint()).code, 0);
}

TEST(ClientLimits, TooFastIsResetAtOnce) {
  GatewayProcess gateway("[limits]\nrate_per_client = 1\n");
  int served = 0;
  int resets = 0;
  for (int i = 0; i < 50; ++i) {
    ++(is_reset(gateway) ? resets : served);
  }
  EXPECT_GE(served, 2);
  EXPECT_GE(resets, 10);
}

TEST(ClientLimits, AReloadChangesThem) {
  GatewayProcess gateway;
  Destination destination;
  (void)gateway.directory().write("gatewayd.toml", "[limits]\nsessions_per_client = 1\n");
  gateway.signal(SIGHUP);
  ASSERT_NE(gateway.wait_for_log("configuration reloaded"), "");
  Stream first = Stream::connect(gateway.listener());
  ASSERT_EQ(ask(first, destination.endpoint()).code, 0);
  EXPECT_TRUE(is_reset(gateway));
}

}  // namespace
}  // namespace socks64::gateway::test
