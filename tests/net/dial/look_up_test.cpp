// RESOLVE and RESOLVE_PTR behind the protocol: which address, which name, and whether a failure
// says "there is none" or "cannot be told".
#include "dial/look_up.hpp"

#include <chrono>
#include <string>
#include <variant>

#include <gtest/gtest.h>

#include "base/dns_name.hpp"
#include "rig/dns_server.hpp"
#include "rig/peers.hpp"

namespace socks64::gateway::testing {
namespace {

using namespace std::chrono_literals;

const AddressFilter any;

Task<LookUpResult> address_of(const LookUp& look_up, Target target) {
  co_return co_await look_up.address_of(target, any);
}

Task<LookUpResult> name_of(const LookUp& look_up, Target target) {
  co_return co_await look_up.name_of(target);
}

class LookUpTest : public ::testing::Test {
 protected:
  ResolverConfig resolver_config() const {
    ResolverConfig made;
    made.servers = {dns_.endpoint()};
    made.hosts_file = hosts_.path();
    made.query_timeout = 5s;
    made.tries = 1;
    return made;
  }
  static std::string text_of(const LookUpResult& result) {
    if (result.failure != Failure::none) {
      return std::string(describe(result.failure));
    }
    EXPECT_EQ(port_of(result.found), 0);
    if (const auto* endpoint = std::get_if<Endpoint>(&result.found)) {
      return std::string(endpoint->address.text().view());
    }
    return std::string(std::get<NamedEndpoint>(result.found).name.view());
  }
  std::string address(Resolver& resolver, std::string_view name, DialConfig config = {}) {
    const LookUp look_up(resolver, config);
    return text_of(run(context_, address_of(look_up, NamedEndpoint{named(name), 80})));
  }
  std::string name(Resolver& resolver, std::string_view address, DialConfig config = {}) {
    const LookUp look_up(resolver, config);
    return text_of(run(context_, name_of(look_up, Endpoint{*IpAddress::parse(address), 80})));
  }

  DnsServer dns_;
  TemporaryFile hosts_{
      "192.0.2.77 inhosts alias\n2001:db8::77 inhosts6\n192.0.2.77 later\n::ffff:192.0.2.78 "
      "mapped\n"};
  asio::io_context context_{1};
};

TEST_F(LookUpTest, NameOfEitherFamily) {
  dns_.script("v4.test", Family::ipv4, {.addresses = {"192.0.2.1", "192.0.2.2"}});
  dns_.script("v6.test", Family::ipv6, {.addresses = {"2001:db8::1"}});
  Resolver resolver(resolver_config());
  EXPECT_EQ(address(resolver, "v4.test"), "192.0.2.1");
  EXPECT_EQ(address(resolver, "V6.test."), "2001:db8::1");
  EXPECT_EQ(address(resolver, "inhosts"), "192.0.2.77");
  EXPECT_EQ(address(resolver, "localhost").empty(), false);
}

// The preferred family, also when its answer comes a little later.
TEST_F(LookUpTest, OfTwoFamiliesThePreferredOne) {
  dns_.script("both.test", Family::ipv4, {.addresses = {"127.0.0.1"}});
  dns_.script("both.test", Family::ipv6, {.addresses = {"::1"}, .delay = 30ms});
  Resolver resolver(resolver_config());
  DialConfig config;
  config.resolution_delay = 2s;
  config.prefer = FamilyPreference::ipv6;
  EXPECT_EQ(address(resolver, "both.test", config), "::1");
  config.prefer = FamilyPreference::ipv4;
  EXPECT_EQ(address(resolver, "both.test", config), "127.0.0.1");
}

// Clients made for Tor take no other where there is one.
TEST_F(LookUpTest, OfTwoFamiliesIpv4WithoutAPreference) {
  dns_.script("both.test", Family::ipv4, {.addresses = {"127.0.0.1"}, .delay = 30ms});
  dns_.script("both.test", Family::ipv6, {.addresses = {"::1"}});
  Resolver resolver(resolver_config());
  DialConfig config;
  config.resolution_delay = 2s;
  config.prefer = FamilyPreference::system;
  EXPECT_EQ(address(resolver, "both.test", config), "127.0.0.1");
}

TEST_F(LookUpTest, LiteralAnswersItself) {
  Resolver resolver(resolver_config());
  EXPECT_EQ(address(resolver, "192.0.2.9"), "192.0.2.9");
  EXPECT_EQ(address(resolver, "[2001:db8::9]"), "2001:db8::9");
  const LookUp look_up(resolver, {});
  EXPECT_EQ(text_of(run(context_, address_of(look_up, Endpoint{*IpAddress::parse("::1"), 7}))),
            "::1");
  EXPECT_EQ(dns_.queries(), 0);
}

TEST_F(LookUpTest, NotFoundIsToldApartFromNotKnown) {
  dns_.script("none.test", Family::ipv4, {});
  dns_.script("none.test", Family::ipv6, {});
  dns_.script("broken.test", Family::ipv4, {.rcode = servfail});
  dns_.script("broken.test", Family::ipv6, {.rcode = servfail});
  dns_.script("half.test", Family::ipv4, {.rcode = servfail});
  dns_.script("half.test", Family::ipv6, {});
  dns_.script("good.test", Family::ipv4, {.addresses = {"192.0.2.1"}});
  dns_.script("good.test", Family::ipv6, {.rcode = servfail});
  Resolver resolver(resolver_config());
  EXPECT_EQ(address(resolver, "missing.test"), "name-not-found");
  EXPECT_EQ(address(resolver, "none.test"), "name-not-found");
  EXPECT_EQ(address(resolver, "broken.test"), "name-failed");
  EXPECT_EQ(address(resolver, "half.test"), "name-failed") << "the other family might have one";
  EXPECT_EQ(address(resolver, "good.test"), "192.0.2.1");
  EXPECT_EQ(address(resolver, std::string(64, 'a') + ".test"), "name-invalid");
}

TEST_F(LookUpTest, ServerThatIsSilentCostsTheBudgetOfADial) {
  dns_.drop_below("dead.test");
  ResolverConfig patient = resolver_config();
  patient.query_timeout = 60s;
  Resolver resolver(patient);
  DialConfig config;
  config.connect_timeout = 200ms;
  const Clock::time_point began = Clock::now();
  const std::string by_name = address(resolver, "a.dead.test", config);
  EXPECT_TRUE(by_name == "timed-out" || by_name == "name-timeout") << by_name;
  dns_.script("1.2.0.192.in-addr.arpa", Family::ipv4, {.drop = true});
  EXPECT_EQ(name(resolver, "192.0.2.1", config), "name-timeout");
  EXPECT_LT(Clock::now() - began, 30s);
}

TEST_F(LookUpTest, NameOfAnAddress) {
  dns_.script("1.2.0.192.in-addr.arpa", Family::ipv4, {.names = {"host.test", "second.test"}});
  dns_.script(pointer_name(*IpAddress::parse("2001:db8::1")), Family::ipv4,
              {.names = {"host6.test"}});
  Resolver resolver(resolver_config());
  EXPECT_EQ(name(resolver, "192.0.2.1"), "host.test");
  EXPECT_EQ(name(resolver, "::ffff:192.0.2.1"), "host.test");
  EXPECT_EQ(name(resolver, "2001:db8::1"), "host6.test");
  EXPECT_EQ(dns_.queries(), 2) << "not cached";
}

// RFC 2317: the zone of less than 256 addresses is reached through a CNAME.
TEST_F(LookUpTest, NameBehindACname) {
  dns_.script("1.2.0.192.in-addr.arpa", Family::ipv4,
              {.names = {"host.test"}, .cnames = {"1.0-63.2.0.192.in-addr.arpa"}});
  Resolver resolver(resolver_config());
  EXPECT_EQ(name(resolver, "192.0.2.1"), "host.test");
}

TEST_F(LookUpTest, NameFromTheHostsFile) {
  Resolver resolver(resolver_config());
  EXPECT_EQ(name(resolver, "192.0.2.77"), "inhosts");
  EXPECT_EQ(name(resolver, "2001:db8::77"), "inhosts6");
  EXPECT_EQ(name(resolver, "192.0.2.78"), "mapped");
  EXPECT_EQ(name(resolver, "127.0.0.1"), "localhost");
  EXPECT_EQ(name(resolver, "::1"), "localhost");
  EXPECT_EQ(dns_.queries(), 0);
}

TEST_F(LookUpTest, AddressWithoutAName) {
  dns_.script("2.2.0.192.in-addr.arpa", Family::ipv4, {});
  dns_.script("3.2.0.192.in-addr.arpa", Family::ipv4, {.rcode = servfail});
  dns_.script("4.2.0.192.in-addr.arpa", Family::ipv4, {.garbage = true});
  Resolver resolver(resolver_config());
  EXPECT_EQ(name(resolver, "192.0.2.1"), "name-not-found");
  EXPECT_EQ(name(resolver, "192.0.2.2"), "name-not-found");
  EXPECT_EQ(name(resolver, "192.0.2.3"), "name-failed");
  EXPECT_EQ(name(resolver, "192.0.2.4"), "name-failed");
  EXPECT_EQ(name(resolver, "192.0.2.1"), "name-not-found");
  EXPECT_EQ(dns_.queries("1.2.0.192.in-addr.arpa", Family::ipv4), 1) << "not cached";
}

// A PTR record and an A record of one name are two questions.
TEST_F(LookUpTest, TheCacheKeepsNamesAndAddressesApart) {
  dns_.script("1.2.0.192.in-addr.arpa", Family::ipv4, {.names = {"host.test"}});
  Resolver resolver(resolver_config());
  EXPECT_EQ(name(resolver, "192.0.2.1"), "host.test");
  EXPECT_EQ(address(resolver, "1.2.0.192.in-addr.arpa"), "name-not-found");
}

TEST_F(LookUpTest, NameOfANameIsNone) {
  Resolver resolver(resolver_config());
  const LookUp look_up(resolver, {});
  EXPECT_EQ(text_of(run(context_, name_of(look_up, NamedEndpoint{named("inhosts"), 0}))),
            "name-invalid");
  EXPECT_EQ(text_of(run(context_, name_of(look_up, NamedEndpoint{named("192.0.2.77"), 0}))),
            "inhosts");
}

TEST(PointerName, OfBothFamilies) {
  EXPECT_EQ(pointer_name(*IpAddress::parse("192.0.2.1")), "1.2.0.192.in-addr.arpa");
  EXPECT_EQ(pointer_name(*IpAddress::parse("2001:db8::567:89ab")),
            "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
}

}  // namespace
}  // namespace socks64::gateway::testing
