// Every wrong value is named with file, line, column and key, and so is what would have been right.
#include "config/config.hpp"

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "config/config_reader.hpp"

namespace socks64::gateway {
namespace {

using namespace std::chrono_literals;

std::string all(const std::vector<std::string>& problems) {
  std::string text;
  for (const std::string& problem : problems) {
    text += problem + "\n";
  }
  return text;
}

TEST(Config, EmptyFileServesLoopbackAlone) {
  const ConfigResult result = parse_config("", "x");
  EXPECT_EQ(all(result.problems), "");
  ASSERT_EQ(result.config.listeners.size(), 2U);
  EXPECT_EQ(result.config.listeners[0].address.text(), "127.0.0.1:1080");
  EXPECT_EQ(result.config.listeners[1].address.text(), "[::1]:1080");
}

TEST(Config, EveryKeyIsRead) {
  const ConfigResult result = parse_config(R"(
threads = 3
[[listener]]
address = "[::]:1080"
socks4 = true
[[listener]]
address = "0.0.0.0:0"
[timeouts]
handshake = "250ms"
connect = 7
idle = "2m"
half_close = "1h"
drain = 0
[resolver]
servers = ["192.0.2.53", "[2001:db8::53]:5353", "2001:db8::54"]
hosts_file = ""
query_timeout = "1s"
tries = 4
cache_entries = 5
min_ttl = "1s"
max_ttl = "2s"
negative_ttl = "3s"
max_in_flight = 6
system_threads = 7
system_ttl = "4s"
[dial]
prefer = "ipv4"
attempt_delay = "100ms"
resolution_delay = "0ms"
family_memory = "1m"
families = ["ipv6"]
bind_address = ["2001:db8::1", "192.0.2.1"]
interface = "eth0"
[limits]
sessions = 9
udp_associations = 10
udp_datagrams_per_second = 11
sessions_per_client = 10
rate_per_client = 11
client_prefix_v4 = 24
client_prefix_v6 = 56
sessions_per_user = 12
rate_per_user = 13
bandwidth_per_user = "14KiB"
[commands]
bind = false
resolve = false
udp = false
[bind]
address = ["192.0.2.1", "2001:db8::1"]
advertise = ["198.51.100.1"]
ports = "40000-40999"
timeout = "2m"
peer_port = "exact"
[udp]
idle = "4m"
ports = "50000-50999"
advertise = ["203.0.113.7", "2001:db8::7"]
[relay]
engine = "splice"
[log]
level = "debug"
target = "/tmp/log"
[access_log]
target = "none"
format = "json"
)",
                                           "x");
  EXPECT_EQ(all(result.problems), "");
  const Config& config = result.config;
  EXPECT_EQ(config.threads, 3U);
  EXPECT_FALSE(config.commands.bind);
  EXPECT_FALSE(config.commands.resolve);
  EXPECT_EQ(config.bind.address.v4, *IpAddress::parse("192.0.2.1"));
  EXPECT_EQ(config.bind.address.v6, *IpAddress::parse("2001:db8::1"));
  EXPECT_EQ(config.bind.advertise.v4, *IpAddress::parse("198.51.100.1"));
  EXPECT_EQ(config.bind.ports.first, 40000);
  EXPECT_EQ(config.bind.ports.last, 40999);
  EXPECT_EQ(config.bind.timeout, 2min);
  EXPECT_TRUE(config.bind.exact_port);
  EXPECT_EQ(config.relay.engine, RelayPath::splice);
  EXPECT_FALSE(config.commands.udp);
  EXPECT_EQ(config.udp.idle, 4min);
  EXPECT_EQ(config.udp.ports.first, 50'000);
  EXPECT_EQ(config.udp.ports.last, 50'999);
  ASSERT_TRUE(config.udp.advertise.v4 && config.udp.advertise.v6);
  EXPECT_EQ(config.udp.advertise.v4->text().view(), "203.0.113.7");
  EXPECT_EQ(config.udp.advertise.v6->text().view(), "2001:db8::7");
  EXPECT_EQ(config.limits.udp.associations, 10U);
  EXPECT_EQ(config.limits.udp.datagrams_per_second, 11U);
  ASSERT_EQ(config.listeners.size(), 2U);
  EXPECT_EQ(config.listeners[0].address.text(), "[::]:1080");
  EXPECT_TRUE(config.listeners[0].socks4);
  EXPECT_EQ(config.listeners[1].address.text(), "0.0.0.0:0");
  EXPECT_FALSE(config.listeners[1].socks4);
  EXPECT_EQ(config.timeouts.handshake, 250ms);
  EXPECT_EQ(config.dial.connect_timeout, 7s);
  EXPECT_EQ(config.timeouts.idle, 2min);
  EXPECT_EQ(config.timeouts.half_close, 1h);
  EXPECT_EQ(config.timeouts.drain, 0s);
  ASSERT_EQ(config.resolver.servers.size(), 3U);
  EXPECT_EQ(config.resolver.servers[0].text().view(), "192.0.2.53:53");
  EXPECT_EQ(config.resolver.servers[1].text().view(), "[2001:db8::53]:5353");
  EXPECT_EQ(config.resolver.servers[2].text().view(), "[2001:db8::54]:53");
  EXPECT_EQ(config.resolver.hosts_file, "");
  EXPECT_EQ(config.resolver.query_timeout, 1s);
  EXPECT_EQ(config.resolver.tries, 4U);
  EXPECT_EQ(config.resolver.cache_entries, 5U);
  EXPECT_EQ(config.resolver.min_ttl, 1s);
  EXPECT_EQ(config.resolver.max_ttl, 2s);
  EXPECT_EQ(config.resolver.negative_ttl, 3s);
  EXPECT_EQ(config.resolver.max_in_flight, 6U);
  EXPECT_EQ(config.resolver.source, NameSource::dns);
  EXPECT_EQ(config.resolver.system_threads, 7U);
  EXPECT_EQ(config.resolver.system_ttl, 4s);
  EXPECT_EQ(config.dial.prefer, FamilyPreference::ipv4);
  EXPECT_EQ(config.dial.attempt_delay, 100ms);
  EXPECT_EQ(config.dial.resolution_delay, 0ms);
  EXPECT_EQ(config.dial.family_memory, 60s);
  EXPECT_FALSE(config.dial.ipv4);
  EXPECT_TRUE(config.dial.ipv6);
  EXPECT_EQ(config.dial.source.v4, *IpAddress::parse("192.0.2.1"));
  EXPECT_EQ(config.dial.source.v6, *IpAddress::parse("2001:db8::1"));
  EXPECT_EQ(config.dial.source.interface, "eth0");
  EXPECT_EQ(config.limits.sessions, 9U);
  EXPECT_EQ(config.limits.client.sessions, 10U);
  EXPECT_EQ(config.limits.client.rate, 11U);
  EXPECT_EQ(config.limits.client.prefix_v4, 24U);
  EXPECT_EQ(config.limits.client.prefix_v6, 56U);
  EXPECT_EQ(config.limits.user.sessions, 12U);
  EXPECT_EQ(config.limits.user.rate, 13U);
  EXPECT_EQ(config.limits.user.bandwidth, 14U << 10U);
  EXPECT_EQ(config.log.level, LogLevel::debug);
  EXPECT_EQ(config.log.target, "/tmp/log");
  EXPECT_EQ(config.access_log.target, "none");
  EXPECT_EQ(config.access_log.format, AccessFormat::json);
}

struct Case {
  const char* text;
  const char* problem;
};

TEST(Config, WrongValuesAreNamed) {
  constexpr Case cases[] = {
      {"threads = -1", "f:1:11: threads: -1 is wrong, expected a whole number from 0 to 1024"},
      {"threads = \"2\"",
       "f:1:11: threads: \"2\" is wrong, expected a whole number from 0 to 1024"},
      {"threads = 1.5", "f:1:11: threads: 1.5 is wrong, expected a whole number from 0 to 1024"},
      {"thread = 2", "f:1:1: thread: unknown key, did you mean \"threads\"?"},
      {"[timeout]\nidle=1", "f:1:2: timeout: unknown key, did you mean \"timeouts\"?"},
      {"timeouts = 3", "f:1:12: timeouts: 3 is wrong, expected a table: [timeouts]"},
      {"[timeouts]\n  handshake = \"20s\"",
       "f:2:15: timeouts.handshake: \"20s\" is wrong, expected 100ms to 10s"},
      {"[timeouts]\nidle = \"10 s\"",
       "f:2:8: timeouts.idle: \"10 s\" is wrong, expected a duration such as \"250ms\", \"10s\", "
       "\"5m\", \"2h\", or a whole number of seconds"},
      {"[timeouts]\nidle = true",
       "f:2:8: timeouts.idle: true is wrong, expected a duration such as \"250ms\", \"10s\", "
       "\"5m\", \"2h\", or a whole number of seconds"},
      {"[timeouts]\nidle = -5",
       "f:2:8: timeouts.idle: -5 is wrong, expected a duration such as \"250ms\", \"10s\", "
       "\"5m\", \"2h\", or a whole number of seconds"},
      {"[timeouts]\nidle = \"1500ms\"",
       "f:2:8: timeouts.idle: \"1500ms\" is wrong, expected whole seconds"},
      {"[timeouts]\nhandshakes = 1",
       "f:2:1: timeouts.handshakes: unknown key, did you mean \"handshake\"?"},
      {"[log]\nxyzzy_quux = 1",
       "f:2:1: log.xyzzy_quux: unknown key, expected one of: level, target"},
      {"[limits]\nbandwidth_per_user = \"10 MiB\"",
       "f:2:22: limits.bandwidth_per_user: \"10 MiB\" is wrong, expected 0 or a number of octets "
       "such as \"10MiB\", from \"1KiB\" to \"1024GiB\""},
      {"[limits]\nbandwidth_per_user = 100",
       "f:2:22: limits.bandwidth_per_user: 100 is wrong, expected 0 or a number of octets "
       "such as \"10MiB\", from \"1KiB\" to \"1024GiB\""},
      {"[limits]\nclient_prefix_v4 = 33",
       "f:2:20: limits.client_prefix_v4: 33 is wrong, expected a whole number from 1 to 32"},
      {"[limits]\nsession_per_client = 3",
       "f:2:1: limits.session_per_client: unknown key, did you mean \"sessions_per_client\"?"},
      {"[bind]\naddress = [\"192.0.2.1\", \"192.0.2.2\"]",
       "f:2:25: bind.address: \"192.0.2.2\" is wrong: another IPv4 address is already listed; "
       "expected an address "
       "such as \"192.0.2.1\" or \"2001:db8::1\", at most one of each family"},
      {"[bind]\nports = \"5-4\"",
       "f:2:9: bind.ports: \"5-4\" is wrong: the last port is below the first; expected a range "
       "such as \"40000-40999\", or one port"},
      {"[bind]\ntimeout = 0", "f:2:11: bind.timeout: 0 is wrong, expected 100ms to 24h"},
      {"[bind]\npeer_port = 20",
       "f:2:13: bind.peer_port: 20 is wrong, expected \"any\" or \"exact\""},
      {"[bind]\nadvertize = []", "f:2:1: bind.advertize: unknown key, did you mean \"advertise\"?"},
      {"[relay]\nengine = \"zero\"",
       "f:2:10: relay.engine: \"zero\" is wrong, expected \"auto\", \"splice\", \"copy\" or "
       "\"sockmap\""},
      {"[udp]\nports = \"5-4\"",
       "f:2:9: udp.ports: \"5-4\" is wrong: the last port is below the first; expected a range of "
       "ports such "
       "as \"50000-50999\", or \"\" for any"},
      {"[udp]\nports = \"0-4\"",
       "f:2:9: udp.ports: \"0-4\" is wrong: it has port 0; expected a range of ports such as "
       "\"50000-50999\", or \"\" for any"},
      {"[udp]\nports = \"1-65536\"",
       "f:2:9: udp.ports: \"1-65536\" is wrong: a port is not a number from 1 to 65535; expected a "
       "range of "
       "ports such as "
       "\"50000-50999\", or \"\" for any"},
      {"[udp]\nadvertise = [\"192.0.2.1\", \"192.0.2.2\"]",
       "f:2:27: udp.advertise: \"192.0.2.2\" is wrong: another IPv4 address is already listed; "
       "expected "
       "an address such as \"203.0.113.7\" or \"2001:db8::7\""},
      {"[udp]\nadvertise = [\"0.0.0.0\"]",
       "f:2:14: udp.advertise: \"0.0.0.0\" is wrong: no peer can connect to the unspecified "
       "address; expected an address "
       "such as \"203.0.113.7\" or \"2001:db8::7\""},
      {"[[listener]]\naddress = \"localhost:1080\"",
       "f:2:11: listener.address: \"localhost:1080\" is wrong: not an IP address; expected an "
       "address and a port such as \"127.0.0.1:1080\", \"[::1]:1080\" or \"[::]:1080\", or "
       "\"unix:/run/socks64/gateway.sock\""},
      {"[[listener]]\naddress = \"127.0.0.1:99999\"",
       "f:2:11: listener.address: \"127.0.0.1:99999\" is wrong: not a port number; expected an "
       "address and a port such as \"127.0.0.1:1080\", \"[::1]:1080\" or \"[::]:1080\", or "
       "\"unix:/run/socks64/gateway.sock\""},
      {"[[listener]]\naddress = \"[::ffff:127.0.0.1]:1\"",
       "f:2:11: listener.address: \"[::ffff:127.0.0.1]:1\" is wrong: it is an IPv4-mapped address; "
       "write "
       "the IPv4 address instead; expected an address and a port such as \"127.0.0.1:1080\", "
       "\"[::1]:1080\" or \"[::]:1080\", or "
       "\"unix:/run/socks64/gateway.sock\""},
      {"[[listener]]\nadress = \"127.0.0.1:1\"",
       "f:2:1: listener.adress: unknown key, did you mean \"address\"?"},
      {"[listener]\naddress = \"127.0.0.1:1\"",
       "f:1:1: listener: a table is wrong, expected tables: [[listener]]"},
      {"[resolver]\nservers = [\"dns.test\"]",
       "f:2:12: resolver.servers: \"dns.test\" is wrong: not an IP address; expected an address "
       "such as \"192.0.2.53\" or \"2001:db8::53\", with a port as in \"192.0.2.53:5353\" or "
       "\"[2001:db8::53]:5353\""},
      {"[resolver]\nmin_ttl = 9\nmax_ttl = 3",
       "f:1:1: resolver: min_ttl (9s) is longer than max_ttl (3s)"},
      {"[auth]\nusers_file = \"/u\"\nmethods = [\"password\"]\n"
       "[[listener]]\naddress = \"[::1]:1\"\nsocks4 = true",
       "f:4:1: listener: socks4 is true, but every client needs a password and SOCKS4 cannot "
       "carry one; expected \"none\" in auth for at least some clients"},
      {"[[listener]]\naddress = \"[::1]:1\"\nsocks4 = \"yes\"",
       "f:3:10: listener.socks4: \"yes\" is wrong, expected true or false"},
      {"[commands]\nresolve = 1", "f:2:11: commands.resolve: 1 is wrong, expected true or false"},
      {"listener = []", "f:1:12: listener: empty, expected at least one [[listener]]"},
      {"[[listener]]\naddress = \"[ff02::1]:1080\"",
       "f:2:11: listener.address: \"[ff02::1]:1080\" is wrong: it is a multicast address; expected "
       "an "
       "address and a port such as \"127.0.0.1:1080\", \"[::1]:1080\" or \"[::]:1080\", or "
       "\"unix:/run/socks64/gateway.sock\""},
      {"[[listener]]\naddress = \"127.0.0.1:1\"\n[[listener]]\naddress = \"127.0.0.1:1\"",
       "f:4:11: listener.address: \"127.0.0.1:1\" is wrong: it is listed twice; expected an "
       "address and a port such as \"127.0.0.1:1080\", \"[::1]:1080\" or \"[::]:1080\", or "
       "\"unix:/run/socks64/gateway.sock\""},
      {"[resolver]\nservers = [\"192.0.2.1\", \"fe80::53%2\"]",
       "f:2:25: resolver.servers: \"fe80::53%2\" is wrong: it is a link-local address; expected an "
       "address such as \"192.0.2.53\" or \"2001:db8::53\", with a port as in "
       "\"192.0.2.53:5353\" or \"[2001:db8::53]:5353\""},
      {"[resolver]\nservers = [\"224.0.0.1:53\"]",
       "f:2:12: resolver.servers: \"224.0.0.1:53\" is wrong: it is a multicast address; expected "
       "an "
       "address such as \"192.0.2.53\" or \"2001:db8::53\", with a port as in "
       "\"192.0.2.53:5353\" or \"[2001:db8::53]:5353\""},
      {"[resolver]\nservers = [\"0.0.0.0\"]",
       "f:2:12: resolver.servers: \"0.0.0.0\" is wrong: it is the unspecified address; expected an "
       "address such as \"192.0.2.53\" or \"2001:db8::53\", with a port as in "
       "\"192.0.2.53:5353\" or \"[2001:db8::53]:5353\""},
      {"[resolver]\nbackend = \"nss\"",
       "f:2:11: resolver.backend: \"nss\" is wrong, expected \"dns\" or \"system\""},
      {"[resolver]\nbackend = \"system\"\nservers = [\"192.0.2.1\"]",
       "f:1:1: resolver: servers is set, but only backend \"dns\" uses it; expected backend = "
       "\"dns\", or no servers"},
      {"[resolver]\nsystem_threads = 0",
       "f:2:18: resolver.system_threads: 0 is wrong, expected a whole number from 1 to 1024"},
      {"[dial]\nprefer = \"both\"",
       "f:2:10: dial.prefer: \"both\" is wrong, expected \"ipv6\", \"ipv4\" or \"system\""},
      {"[dial]\nfamilies = [\"ipv4\", \"ip6\"]",
       "f:2:21: dial.families: \"ip6\" is wrong: it is not an address family; expected \"ipv4\" or "
       "\"ipv6\""},
      {"[dial]\nfamilies = []",
       "f:1:1: dial: families is empty, expected \"ipv4\", \"ipv6\" or both"},
      {"[dial]\nbind_address = [\"192.0.2.1\", \"192.0.2.2\"]",
       "f:2:30: dial.bind_address: \"192.0.2.2\" is wrong: another address of this family is "
       "already listed; expected an "
       "address of this host such as \"192.0.2.1\" or \"2001:db8::1\", at most one of each family"},
      {"[dial]\nbind_address = [\"fe80::1\"]",
       "f:2:17: dial.bind_address: \"fe80::1\" is wrong: it is a link-local address; expected an "
       "address of this host such as \"192.0.2.1\" or \"2001:db8::1\", at most one of each family"},
      {"[dial]\ninterface = \"a b\"",
       "f:2:13: dial.interface: \"a b\" is wrong: no interface can have this name; expected "
       "the name of an interface such as \"eth0\", or \"\" for any"},
      {"[dial]\nattempt_delay = \"10ms\"",
       "f:2:17: dial.attempt_delay: \"10ms\" is wrong, expected 100ms to 2s"},
      {"[log]\nlevel = \"loud\"",
       "f:2:9: log.level: \"loud\" is wrong, expected \"trace\", \"debug\", \"info\", \"warning\" "
       "or "
       "\"error\""},
      {"[log]\ntarget = \"\"",
       "f:2:10: log.target: \"\" is wrong, expected \"stderr\" or the path of a file"},
      {"[access_log]\nformat = 1979-05-27",
       "f:2:10: access_log.format: a date or time is wrong, expected \"text\" or \"json\""},
  };
  for (const Case& wrong : cases) {
    const ConfigResult result = parse_config(wrong.text, "f");
    bool found = false;
    for (const std::string& problem : result.problems) {
      found = found || problem == wrong.problem;
    }
    EXPECT_TRUE(found) << "for\n"
                       << wrong.text << "\nexpected\n"
                       << wrong.problem << "\ngot\n"
                       << all(result.problems);
  }
}

TEST(Config, AllProblemsAreReportedInTheOrderOfTheFile) {
  const ConfigResult result = parse_config(
      "[log]\nlevel = 1\n[dial]\nprefer = 2\n[limits]\nsession = 3\n[timeouts]\nidle = \"x\"\n",
      "f");
  ASSERT_EQ(result.problems.size(), 4U) << all(result.problems);
  EXPECT_EQ(result.problems[0].substr(0, 18), "f:2:9: log.level: ");
  EXPECT_EQ(result.problems[1].substr(0, 21), "f:4:10: dial.prefer: ");
  EXPECT_EQ(result.problems[2].substr(0, 23), "f:6:1: limits.session: ");
  EXPECT_EQ(result.problems[3].substr(0, 22), "f:8:8: timeouts.idle: ");
}

TEST(Config, TextThatIsNotTomlIsNamedToo) {
  const ConfigResult result = parse_config("threads = 1\n[[listener\n", "f");
  ASSERT_EQ(result.problems.size(), 1U);
  EXPECT_EQ(result.problems[0].substr(0, 4), "f:2:") << result.problems[0];
}

TEST(Config, ALineThatEndsTooEarlyIsToldInWords) {
  EXPECT_EQ(all(parse_config("threads\n", "f").problems),
            "f:1:8: Error while parsing key-value pair: expected '=', saw the end of the line\n");
  EXPECT_EQ(all(parse_config("threads = 1\r \n", "f").problems),
            "f:1:13: Error while parsing key-value pair: expected the end of the line after a "
            "carriage return, saw ' '\n");
}

TEST(Config, TextWithoutQuotesIsTakenForSomethingElse) {
  for (const char* text : {"[log]\nlevel = info\n", "[[listener]]\naddress = 127.0.0.1:1080\n",
                           "[[listener]]\naddress = [::1]:1080\n", "[auth]\nmethods = [none]\n",
                           "[auth]\nmethods = [true_]\n"}) {
    const ConfigResult result = parse_config(text, "f");
    ASSERT_EQ(result.problems.size(), 1U) << text;
    EXPECT_TRUE(result.problems[0].starts_with("f:2:")) << result.problems[0];
    EXPECT_TRUE(result.problems[0].ends_with("; text must be in quotes")) << result.problems[0];
  }
}

TEST(Config, TextWithoutItsLastQuote) {
  const ConfigResult result = parse_config("[log]\nlevel = \"info\ntarget = \"stderr\"\n", "f");
  ASSERT_EQ(result.problems.size(), 1U);
  EXPECT_TRUE(result.problems[0].starts_with("f:2:")) << result.problems[0];
  EXPECT_TRUE(result.problems[0].ends_with("the closing quote missing?")) << result.problems[0];
}

TEST(Config, HostileKeysStayOnTheirLine) {
  // Unknown, defined twice, not TOML, not UTF-8.
  for (const char* text : {"\"a\\nb\" = 1", "\"a\\nb\" = 1\n\"a\\nb\" = 2", "\xc3\xa9 = \xc3\xa9",
                           "threads = \x1b[31m", "\"\xe2\x80\xae\" = 1", "threads = \"\xff\""}) {
    const ConfigResult result = parse_config(text, "f");
    ASSERT_EQ(result.problems.size(), 1U) << text;
    for (const char c : result.problems[0]) {
      EXPECT_TRUE(c >= 0x20 && c < 0x7f) << result.problems[0];
    }
  }
}

TEST(Config, FilesThatCannotBeRead) {
  EXPECT_EQ(all(load_config("/nonexistent/gatewayd.toml").problems),
            "/nonexistent/gatewayd.toml: cannot read: No such file or directory\n");
  EXPECT_EQ(all(load_config("/").problems), "/: cannot read: Is a directory\n");
  EXPECT_EQ(all(load_config("/dev/zero").problems), "/dev/zero: the file is larger than 16 MiB\n");
}

TEST(Config, DurationsReadBack) {
  for (const auto& [text, value] : {std::pair("250ms", 250ms), std::pair("10s", 10'000ms),
                                    std::pair("5m", 300'000ms), std::pair("2h", 7'200'000ms)}) {
    EXPECT_EQ(parse_duration(text), value);
    EXPECT_EQ(duration_text(value), text);
  }
  for (const char* wrong : {"", "s", "10", "-1s", "1.5s", "1d", "1s ", "99999999999999999999s"}) {
    EXPECT_LT(parse_duration(wrong).count(), 0) << wrong;
  }
}

TEST(Config, AMissingPortIsCalledThat) {
  for (const char* address : {"127.0.0.1", "::1", "[::1]"}) {
    ListenAddress parsed;
    std::string problem;
    EXPECT_FALSE(parse_listen_address(address, parsed, problem));
    EXPECT_EQ(problem, "the port is missing") << address;
  }
}

TEST(Config, SizesReadBack) {
  EXPECT_EQ(parse_size("0"), 0U);
  EXPECT_EQ(parse_size("500"), 500U);
  EXPECT_EQ(parse_size("10MiB"), std::uint64_t{10} << 20U);
  EXPECT_EQ(parse_size("1GiB"), std::uint64_t{1} << 30U);
  EXPECT_EQ(parse_size("10MB"), 10'000'000U);
  for (const char* wrong : {"", "MiB", "-1", "10 MiB", "10mib", "1.5MiB", "10MiBs", "0x10", "10M",
                            "99999999999999999999", "9999999999999GiB"}) {
    EXPECT_FALSE(parse_size(wrong)) << wrong;
  }
  EXPECT_EQ(size_text(0), "0B");
  EXPECT_EQ(size_text(1024), "1KiB");
  EXPECT_EQ(size_text(std::uint64_t{3} << 30U), "3GiB");
}

TEST(Config, UnixListeners) {
  const ConfigResult result = parse_config(
      "[[listener]]\naddress = \"unix:/run/socks64/gateway.sock\"\nmode = \"0600\"\n"
      "[[listener]]\naddress = \"unix:/run/socks64/other.sock\"\n",
      "x");
  EXPECT_EQ(all(result.problems), "");
  ASSERT_EQ(result.config.listeners.size(), 2U);
  EXPECT_EQ(result.config.listeners[0].address.path, "/run/socks64/gateway.sock");
  EXPECT_EQ(result.config.listeners[0].address.text(), "unix:/run/socks64/gateway.sock");
  EXPECT_EQ(result.config.listeners[0].mode, 0600U);
  EXPECT_EQ(result.config.listeners[1].mode, 0660U);
}

TEST(Config, UnixListenersThatAreWrong) {
  const auto problem = [](const std::string& address, const std::string& more = {}) {
    return all(parse_config("[[listener]]\naddress = \"" + address + "\"\n" + more, "x").problems);
  };
  EXPECT_NE(problem("unix:gateway.sock").find("x:2:11: listener.address: "), std::string::npos);
  EXPECT_NE(problem("unix:gateway.sock").find("not absolute"), std::string::npos);
  EXPECT_NE(problem("unix:").find("not absolute"), std::string::npos);
  EXPECT_NE(problem("unix:/run/").find("ends with a slash"), std::string::npos);
  EXPECT_NE(problem("unix:/a\\u0000b").find("NUL"), std::string::npos);
  const std::string longest = "unix:/" + std::string(106, 'a');
  EXPECT_EQ(problem(longest), "");
  EXPECT_NE(
      problem(longest + "a").find("108 octets, but the path of a socket can have at most 107"),
      std::string::npos);
  const std::string here = "unix:/run/a";
  EXPECT_NE(problem(here, "[[listener]]\naddress = \"" + here + "\"\n").find("it is listed twice"),
            std::string::npos);
  for (const char* mode : {"0800", "rw", "", "01777", "-1", "0x7"}) {
    EXPECT_NE(
        problem(here, std::string("mode = \"") + mode + "\"\n").find("x:3:8: listener.mode: "),
        std::string::npos)
        << mode;
  }
  EXPECT_NE(problem(here, "mode = 432\n").find("x:3:8: listener.mode: "), std::string::npos);
  EXPECT_NE(problem("127.0.0.1:1", "mode = \"0600\"\n").find("only a UNIX socket"),
            std::string::npos);
}

// The file that is installed says of every key what its default is; it is to be believed.
TEST(Config, InstalledFileShowsTheDefaults) {
  std::ifstream file(GATEWAYD_CONF);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  ASSERT_FALSE(text.empty());
  EXPECT_EQ(all(parse_config(text, "f").problems), "");
  // Uncomment what is a setting: a hash with no blank behind it.
  std::string active;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool setting = text[i] == '#' && (i == 0 || text[i - 1] == '\n') && text[i + 1] != ' ' &&
                         text[i + 1] != '\n';
    if (!setting) {
      active += text[i];
    }
  }
  const ConfigResult shown = parse_config(active, "f");
  EXPECT_EQ(all(shown.problems), "");
  const Config defaults;
  ASSERT_EQ(shown.config.listeners.size(), 2U);
  EXPECT_EQ(shown.config.listeners[0].address, defaults.listeners[0].address);
  EXPECT_EQ(shown.config.listeners[1].address, defaults.listeners[1].address);
  EXPECT_EQ(shown.config.commands.resolve, defaults.commands.resolve);
  EXPECT_EQ(shown.config.commands.udp, defaults.commands.udp);
  EXPECT_EQ(shown.config.udp.idle, defaults.udp.idle);
  EXPECT_EQ(shown.config.udp.ports.first, defaults.udp.ports.first);
  EXPECT_EQ(shown.config.udp.advertise.v4, defaults.udp.advertise.v4);
  EXPECT_EQ(shown.config.limits.udp.associations, defaults.limits.udp.associations);
  EXPECT_EQ(shown.config.limits.udp.datagrams_per_second, defaults.limits.udp.datagrams_per_second);
  EXPECT_EQ(shown.config.relay.engine, defaults.relay.engine);
  EXPECT_EQ(shown.config.relay.kernel, defaults.relay.kernel);
  EXPECT_EQ(shown.config.threads, defaults.threads);
  EXPECT_EQ(shown.config.timeouts.handshake, defaults.timeouts.handshake);
  EXPECT_EQ(shown.config.timeouts.idle, defaults.timeouts.idle);
  EXPECT_EQ(shown.config.timeouts.half_close, defaults.timeouts.half_close);
  EXPECT_EQ(shown.config.timeouts.drain, defaults.timeouts.drain);
  EXPECT_EQ(shown.config.dial.connect_timeout, defaults.dial.connect_timeout);
  EXPECT_EQ(shown.config.dial.attempt_delay, defaults.dial.attempt_delay);
  EXPECT_EQ(shown.config.dial.resolution_delay, defaults.dial.resolution_delay);
  EXPECT_EQ(shown.config.dial.prefer, defaults.dial.prefer);
  EXPECT_EQ(shown.config.dial.family_memory, defaults.dial.family_memory);
  EXPECT_EQ(shown.config.dial.ipv4, defaults.dial.ipv4);
  EXPECT_EQ(shown.config.dial.ipv6, defaults.dial.ipv6);
  EXPECT_EQ(shown.config.dial.source.v4, defaults.dial.source.v4);
  EXPECT_EQ(shown.config.dial.source.v6, defaults.dial.source.v6);
  EXPECT_EQ(shown.config.dial.source.interface, defaults.dial.source.interface);
  EXPECT_EQ(shown.config.resolver.hosts_file, defaults.resolver.hosts_file);
  EXPECT_EQ(shown.config.resolver.query_timeout, defaults.resolver.query_timeout);
  EXPECT_EQ(shown.config.resolver.tries, defaults.resolver.tries);
  EXPECT_EQ(shown.config.resolver.cache_entries, defaults.resolver.cache_entries);
  EXPECT_EQ(shown.config.resolver.min_ttl, defaults.resolver.min_ttl);
  EXPECT_EQ(shown.config.resolver.max_ttl, defaults.resolver.max_ttl);
  EXPECT_EQ(shown.config.resolver.negative_ttl, defaults.resolver.negative_ttl);
  EXPECT_EQ(shown.config.resolver.max_in_flight, defaults.resolver.max_in_flight);
  EXPECT_EQ(shown.config.resolver.source, defaults.resolver.source);
  EXPECT_EQ(shown.config.resolver.system_threads, defaults.resolver.system_threads);
  EXPECT_EQ(shown.config.resolver.system_ttl, defaults.resolver.system_ttl);
  EXPECT_EQ(shown.config.limits.sessions, defaults.limits.sessions);
  EXPECT_EQ(shown.config.limits.client.sessions, defaults.limits.client.sessions);
  EXPECT_EQ(shown.config.limits.client.rate, defaults.limits.client.rate);
  EXPECT_EQ(shown.config.limits.client.prefix_v4, defaults.limits.client.prefix_v4);
  EXPECT_EQ(shown.config.limits.client.prefix_v6, defaults.limits.client.prefix_v6);
  EXPECT_EQ(shown.config.limits.user.sessions, defaults.limits.user.sessions);
  EXPECT_EQ(shown.config.limits.user.rate, defaults.limits.user.rate);
  EXPECT_EQ(shown.config.limits.user.bandwidth, defaults.limits.user.bandwidth);
  EXPECT_EQ(shown.config.log.level, defaults.log.level);
  EXPECT_EQ(shown.config.log.target, defaults.log.target);
  EXPECT_EQ(shown.config.access_log.target, defaults.access_log.target);
  EXPECT_EQ(shown.config.access_log.format, defaults.access_log.format);
}

}  // namespace
}  // namespace socks64::gateway
