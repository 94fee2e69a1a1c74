#include <cstdlib>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "settings/config_options.hpp"
#include "settings/config_reader.hpp"
#include "settings/unknown_variable.hpp"

namespace socks64::shim {
namespace {

std::string problem_of(std::string_view key, std::string_view value) {
  Config config;
  const bool fine = set_option(config, "PLACE", key, value);
  EXPECT_EQ(fine, config.usable());
  return std::string(config.problem.view());
}

std::string problem_of_file(std::string_view text) {
  Config config;
  const bool fine = apply_file(config, "file", text);
  EXPECT_EQ(fine, config.usable());
  return std::string(config.problem.view());
}

TEST(ShimConfig, Defaults) {
  const Config config;
  EXPECT_TRUE(config.usable());
  EXPECT_EQ("127.0.0.1:1080", config.gateways[0].endpoint.text().view());
  EXPECT_EQ("0.0.0.0/8", config.fake_ipv4.text().view());
  EXPECT_EQ("100::/64", config.fake_ipv6.text().view());
  EXPECT_EQ(60U, config.timeout_seconds);
  EXPECT_EQ("", config.gateways[0].credentials().user);
}

std::string many_gateways(int count) {
  std::string urls;
  for (int i = 0; i < count; ++i) {
    urls += (i == 0       ? "socks5://192.0.2."
             : i % 2 == 0 ? " socks5://192.0.2."
                          : ", socks5://192.0.2.") +
            std::to_string(i + 1);
  }
  return urls;
}

TEST(ShimConfig, Dns) {
  Config config;
  EXPECT_EQ(DnsMode::answer, config.dns);
  for (const auto& [text, mode] : {std::pair{"gateway", DnsMode::gateway},
                                   {"refuse", DnsMode::refuse},
                                   {"direct", DnsMode::direct},
                                   {"answer", DnsMode::answer}}) {
    EXPECT_TRUE(set_option(config, "PLACE", "dns", text));
    EXPECT_EQ(mode, config.dns);
  }
  for (const char* text : {"", "Answer", "on", "8.8.8.8"}) {
    EXPECT_EQ(std::string("PLACE: expected answer, gateway, refuse or direct, not '") + text + "'",
              problem_of("dns", text));
  }
}

struct GoodUrl {
  const char* url;
  const char* endpoint;
  const char* user;
  const char* password;
};

TEST(ShimConfig, GatewayUrls) {
  for (const GoodUrl& good : {
           GoodUrl{"socks5://192.0.2.1:1081", "192.0.2.1:1081", "", ""},
           {"socks5://192.0.2.1", "192.0.2.1:1080", "", ""},
           {"SOCKS5H://192.0.2.1/", "192.0.2.1:1080", "", ""},
           {"socks5://[2001:db8::1]:9", "[2001:db8::1]:9", "", ""},
           {"socks5://[2001:db8::1]", "[2001:db8::1]:1080", "", ""},
           {"socks5://[fe80::1%252]:9", "[fe80::1%2]:9", "", ""},
           {"socks5://[fe80::1%2]:9", "[fe80::1%2]:9", "", ""},
           {"socks5://alice:pass@192.0.2.1", "192.0.2.1:1080", "alice", "pass"},
           {"socks5://alice@192.0.2.1", "192.0.2.1:1080", "alice", ""},
           {"socks5://alice:@192.0.2.1", "192.0.2.1:1080", "alice", ""},
           {"socks5://a%40b:p%3a%2F%25@192.0.2.1", "192.0.2.1:1080", "a@b", "p:/%"},
           {"socks5://a:b:c@d@192.0.2.1:1", "192.0.2.1:1", "a", "b:c@d"},
           {"socks5://gw.example", "gw.example:1080", "", ""},
           {"socks5://a:b@Gw-1.Example:99", "Gw-1.Example:99", "a", "b"},
           {"socks5+unix:///run/socks64/gateway.sock", "unix:/run/socks64/gateway.sock", "", ""},
           {"socks5+unix://a:b@/run/x%20y@z", "unix:/run/x y@z", "a", "b"},
       }) {
    Config config;
    EXPECT_TRUE(set_option(config, "P", "gateway", good.url)) << good.url << config.problem.view();
    EXPECT_EQ(good.endpoint, config.gateways[0].text().view()) << good.url;
    EXPECT_EQ(good.user, config.gateways[0].credentials().user) << good.url;
    EXPECT_EQ(good.password, config.gateways[0].credentials().password) << good.url;
  }
}

TEST(ShimConfig, AListOfGatewaysReplacesTheOneBefore) {
  Config config;
  ASSERT_TRUE(set_option(config, "P", "gateway", many_gateways(16))) << config.problem.view();
  ASSERT_EQ(16U, config.gateways.size());
  EXPECT_EQ("192.0.2.1:1080", config.gateways[0].text().view());
  EXPECT_EQ("192.0.2.16:1080", config.gateways[15].text().view());
  EXPECT_TRUE(config.is_gateway({IpAddress::v4(0xc0000210), 1080}));
  EXPECT_FALSE(config.is_gateway({IpAddress::v4(0xc0000210), 80}));
  ASSERT_TRUE(set_option(config, "P", "gateway", " socks5+unix:///x ,, socks5://u:p@h\t"));
  ASSERT_EQ(2U, config.gateways.size());
  EXPECT_EQ("h:1080", config.gateways[1].text().view());
  EXPECT_TRUE(config.gateways.hold_password());
  EXPECT_FALSE(config.is_gateway({IpAddress::v4(0xc0000210), 1080}));
}

TEST(ShimConfig, ProblemsNameThePlaceAndWhatWasExpected) {
  const std::string forms = "expected socks5://[USER:PASSWORD@]HOST[:PORT] or socks5+unix:///PATH";
  const std::string form = "PLACE: " + forms;
  const struct {
    const char* key;
    const char* value;
    std::string problem;
  } table[] = {
      {"gateway", "", form},
      {"gateway", "192.0.2.1:1080", form + "; did you mean socks5://192.0.2.1:1080?"},
      {"gateway", "gw.test:1080", form + "; did you mean socks5://gw.test:1080?"},
      {"gateway", "localhost:1080", form + "; did you mean socks5://localhost:1080?"},
      {"gateway", "[2001:db8::1]:1080", form + "; did you mean socks5://[2001:db8::1]:1080?"},
      {"gateway", "alice:1234", form},
      {"gateway", "gw.test:0", form},
      {"gateway", "alice@gw.test:1080", form},
      {"gateway", "http://192.0.2.1", form + ", not http://"},
      {"gateway", "alice:secret://192.0.2.1", form},
      {"gateway", "socks5://", form + ": the host is missing"},
      {"gateway", "socks5://:1080", form + ": the host is missing"},
      {"gateway", "socks5://a:secret@", form + ": the host is missing"},
      {"gateway", "socks5://gw..test:1080",
       "PLACE: expected an IP address or a host name, not 'gw..test'"},
      {"gateway", "socks5://a:secret@192.0.2.256",
       "PLACE: expected an IP address or a host name, not '192.0.2.256'"},
      {"gateway", "socks5://gw.test:x",
       "PLACE: expected a port from 1 to 65535 after the last ':'"},
      {"gateway", " , ", form},
      {"gateway", "unix:/x", form},
      {"gateway", "fd00:1::1",
       form + "; an IPv6 address needs brackets: socks5://[2001:db8::1]:1080"},
      {"gateway", "socks5://192.0.2.1,http://192.0.2.2",
       "PLACE: gateway 2: " + forms + ", not http://"},
      {"gateway", "nonsense socks5://192.0.2.1", "PLACE: gateway 1: " + forms},
      {"gateway", "socks5://192.0.2.1 socks5://gw.test:x",
       "PLACE: gateway 2: expected a port from 1 to 65535 after the last ':'"},
      {"gateway", "socks5://192.0.2.1 a:secret@192.0.2.2", "PLACE: gateway 2: " + forms},
      {"gateway", "socks5+unix://",
       "PLACE: expected socks5+unix://[USER:PASSWORD@]/PATH with an absolute path"},
      {"gateway", "socks5+unix://a:secret@run/x",
       "PLACE: expected socks5+unix://[USER:PASSWORD@]/PATH with an absolute path"},
      {"gateway", "socks5+unix:///", "PLACE: no socket can have the path '/'"},
      {"gateway", "socks5+unix:///a%00b", "PLACE: no socket can have the path '/a?b'"},
      {"gateway", "socks5+unix:///a%0",
       "PLACE: a '%' in a path must be followed by two hexadecimal digits"},
      {"balance", "roundrobin",
       "PLACE: expected failover, round-robin or random, not 'roundrobin'"},
      {"gateway_timeout", "0", "PLACE: expected seconds, from 1 to 3600, not '0'"},
      {"gateway_timeout", "x", "PLACE: expected seconds, from 1 to 3600, not 'x'"},
      {"cooldown", "86401", "PLACE: expected seconds, from 0 to 86400, not '86401'"},
      {"cooldown", "-1", "PLACE: expected seconds, from 0 to 86400, not '-1'"},
      {"credentials_file", "pass.txt",
       "PLACE: expected the absolute path of a file, not 'pass.txt'"},
      {"credentials_file", "/nowhere/pass", "PLACE: '/nowhere/pass' does not exist"},
      {"credentials_file", "/dev/null", "PLACE: '/dev/null' is not a regular file"},
      {"gateway",
       "socks5://192.0.2.1:", "PLACE: expected a port from 1 to 65535 after the last ':'"},
      {"gateway", "socks5://192.0.2.1:0",
       "PLACE: expected a port from 1 to 65535 after the last ':'"},
      {"gateway", "socks5://192.0.2.1:65536",
       "PLACE: expected a port from 1 to 65535 after the last ':'"},
      {"gateway", "socks5://192.0.2.1:80/x",
       "PLACE: expected a port from 1 to 65535 after the last ':'"},
      {"gateway", "socks5://2001:db8::1:1080",
       "PLACE: an IPv6 address needs brackets: socks5://[2001:db8::1]:1080"},
      {"gateway", "socks5://[2001:db8::1", "PLACE: the ']' after the IPv6 address is missing"},
      {"gateway", "socks5://[192.0.2.1]", "PLACE: expected an IPv6 address between '[' and ']'"},
      {"gateway", "socks5://[::2]1080", "PLACE: expected ':PORT' or nothing after ']'"},
      {"gateway", "socks5://0.0.0.0", "PLACE: no gateway can have the address 0.0.0.0"},
      {"gateway", "socks5://:secret@192.0.2.1", "PLACE: the user name before '@' is empty"},
      {"gateway", "socks5://a:secret%4@192.0.2.1",
       "PLACE: a '%' in the user or password must be followed by two hexadecimal digits"},
      {"fake_ipv4", "10.0.0.0/25",
       "PLACE: expected an IPv4 block from /8 to /24, like 0.0.0.0/8, not '10.0.0.0/25'"},
      {"fake_ipv4", "0.0.0.0/7",
       "PLACE: expected an IPv4 block from /8 to /24, like 0.0.0.0/8, not '0.0.0.0/7'"},
      {"fake_ipv4", "100::/64",
       "PLACE: expected an IPv4 block from /8 to /24, like 0.0.0.0/8, not '100::/64'"},
      {"fake_ipv4", "127.0.0.0/8",
       "PLACE: fake addresses cannot be loopback addresses: '127.0.0.0/8'"},
      {"fake_ipv4", "224.0.0.0/8",
       "PLACE: fake addresses cannot be multicast addresses: '224.0.0.0/8'"},
      {"fake_ipv6", "0.0.0.0/8",
       "PLACE: expected an IPv6 block from /32 to /112, like 100::/64, not '0.0.0.0/8'"},
      {"fake_ipv6", "100::/113",
       "PLACE: expected an IPv6 block from /32 to /112, like 100::/64, not '100::/113'"},
      {"fake_ipv6", "::/64", "PLACE: fake addresses cannot be loopback addresses: '::/64'"},
      {"timeout", "0", "PLACE: expected seconds, from 1 to 3600, not '0'"},
      {"timeout", "3601", "PLACE: expected seconds, from 1 to 3600, not '3601'"},
      {"timeout", "1m", "PLACE: expected seconds, from 1 to 3600, not '1m'"},
      {"udp", "associate", "PLACE: expected refuse or direct, not 'associate'"},
      {"verify_names", "1", "PLACE: expected on or off, not '1'"},
      {"pipelining", "yes", "PLACE: expected on or off, not 'yes'"},
      {"log", "debug\n", "PLACE: expected off, error, info or explain, not 'debug?'"},
      {"gatewya", "x", "PLACE: unknown key 'gatewya'; did you mean 'gateway'?"},
      {"zzzzzzzzzz", "x", "PLACE: unknown key 'zzzzzzzzzz'"},
  };
  for (const auto& row : table) {
    EXPECT_EQ(row.problem, problem_of(row.key, row.value)) << row.key << " " << row.value;
    EXPECT_EQ(std::string::npos, problem_of(row.key, row.value).find("secret"));
  }
  EXPECT_EQ("PLACE: the path of a UNIX socket may have at most 107 octets",
            problem_of("gateway", "socks5+unix:///" + std::string(107, 'p')));
  EXPECT_EQ("PLACE: expected at most 16 gateways", problem_of("gateway", many_gateways(17)));
  const std::string long_user(256, 'u');
  EXPECT_EQ("PLACE: user and password may have at most 255 octets each",
            problem_of("gateway", "socks5://" + long_user + "@192.0.2.1"));
}

TEST(ShimConfig, AFileMayBeginWithAByteOrderMark) {
  Config config;
  ASSERT_TRUE(apply_file(config, "file", "\xef\xbb\xbftimeout = 5\n")) << config.problem.view();
  EXPECT_EQ(5U, config.timeout_seconds);
  EXPECT_FALSE(apply_file(config, "file", "\n\xef\xbb\xbftimeout = 5\n"));
}

TEST(ShimConfig, AFileIsAppliedWhole) {
  Config config;
  ASSERT_TRUE(apply_file(config, "file",
                         "# comment\n\n  gateway=socks5://192.0.2.9:99  # behind\r\n"
                         "fake_ipv4 = 198.18.0.0/16\n\tfake_ipv6 = fd00::/64\ntimeout = 5\n"
                         "udp = direct\npipelining = on\nverify_names = on\nlog = info\n"
                         "balance = round-robin\ngateway_timeout = 2\ncooldown = 0"))
      << config.problem.view();
  EXPECT_EQ("192.0.2.9:99", config.gateways[0].endpoint.text().view());
  EXPECT_EQ("198.18.0.0/16", config.fake_ipv4.text().view());
  EXPECT_EQ("fd00::/64", config.fake_ipv6.text().view());
  EXPECT_EQ(5U, config.timeout_seconds);
  EXPECT_EQ(UdpMode::direct, config.udp);
  EXPECT_TRUE(config.pipelining);
  EXPECT_TRUE(config.verify_names);
  EXPECT_EQ(LogLevel::info, config.log);
  EXPECT_EQ(Balance::round_robin, config.balance);
  EXPECT_EQ(2U, config.gateway_timeout_seconds);
  EXPECT_EQ(0U, config.cooldown_seconds);
}

TEST(ShimConfig, FileProblemsNameTheLine) {
  using namespace std::string_literals;
  EXPECT_EQ("file:2: expected KEY = VALUE: the '=' is missing", problem_of_file("\ngateway\n"));
  EXPECT_EQ("file:1: unknown key 'time_out'; did you mean 'timeout'?",
            problem_of_file("time_out = 1"));
  EXPECT_EQ("file:2: 'log' is set twice", problem_of_file("log = off\nlog = off\n"));
  EXPECT_EQ("file:3: timeout: expected seconds, from 1 to 3600, not 'x'",
            problem_of_file("# a\n# b\ntimeout = x\nlog = x\n"));
  EXPECT_EQ("file:1: the line is longer than 1024 characters",
            problem_of_file("log = " + std::string(1100, 'x')));
  EXPECT_EQ("file:1: the line holds a NUL, so this is not a text file",
            problem_of_file("log\0= x"s));
  EXPECT_EQ("file:1: expected KEY = VALUE: the text before the '=' is not a key",
            problem_of_file("socks5://u:secret=@192.0.2.1"));
  EXPECT_EQ("", problem_of_file(""));
}

class ShimConfigLoad : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = ::testing::TempDir() + "socks64-" + std::to_string(getpid()) + ".conf";
    for (const Option& option : options()) {
      unsetenv(option.variable);
    }
    setenv("SOCKS64_CONFIG", path_.c_str(), 1);
  }
  void TearDown() override {
    unlink(path_.c_str());
    unsetenv("SOCKS64_CONFIG");
    unsetenv("SOCKS64_TIMEOUT");
    unsetenv("SOCKS64_GATEWAY");
  }
  void write(std::string_view text) const { std::ofstream(path_) << text; }
  std::string load(bool secure = false) {
    config_ = Config();
    load_config(config_, secure);
    return std::string(config_.problem.view());
  }

  std::string path_;
  Config config_;
};

TEST_F(ShimConfigLoad, TheEnvironmentWins) {
  write("timeout = 7\ngateway = socks5://192.0.2.1\n");
  setenv("SOCKS64_TIMEOUT", "9", 1);
  setenv("SOCKS64_GATEWAY", "", 1);  // empty is unset
  setenv("SOCKS64_NOBODY_KNOWS_THIS", "x", 1);
  EXPECT_EQ("", load());
  EXPECT_EQ(9U, config_.timeout_seconds);
  EXPECT_EQ("192.0.2.1:1080", config_.gateways[0].endpoint.text().view());
  setenv("SOCKS64_TIMEOUT", "x", 1);
  EXPECT_EQ("SOCKS64_TIMEOUT: expected seconds, from 1 to 3600, not 'x'", load());
}

TEST_F(ShimConfigLoad, ANamedFileMustBeThere) {
  const std::string named = path_ + ": the configuration file named by SOCKS64_CONFIG ";
  EXPECT_EQ(named + "does not exist", load());
  write(std::string(64 * 1024 + 1, '\n'));
  EXPECT_EQ(named + "is larger than 64 KiB", load());
  unlink(path_.c_str());
  ASSERT_EQ(0, mkfifo(path_.c_str(), 0600));
  EXPECT_EQ(named + "is not a regular file", load());
}

TEST_F(ShimConfigLoad, ASecureProcessIgnoresTheEnvironment) {
  if (access(default_config_path, F_OK) == 0) {
    GTEST_SKIP() << "NOT RUN: this machine has a " << default_config_path;
  }
  setenv("SOCKS64_TIMEOUT", "x", 1);
  EXPECT_EQ("", load(true));
  EXPECT_EQ(60U, config_.timeout_seconds);
}

TEST_F(ShimConfigLoad, CredentialsFromAFile) {
  const std::string secrets = path_ + ".secret";
  const auto load_secrets = [&](std::string_view text, mode_t mode) {
    unlink(secrets.c_str());
    std::ofstream(secrets) << text;
    chmod(secrets.c_str(), mode);
    return load();
  };
  write("credentials_file = " + secrets +
        "\ngateway = socks5://192.0.2.1 socks5://a:b@192.0.2.2\n");
  EXPECT_EQ("", load_secrets("ann:se#cr:et %41\r\n", 0640));
  EXPECT_EQ("ann", config_.credentials_for(config_.gateways[0]).user);
  EXPECT_EQ("se#cr:et %41", config_.credentials_for(config_.gateways[0]).password);
  EXPECT_EQ("a", config_.credentials_for(config_.gateways[1]).user);

  const auto ends_with = [](const std::string& problem, std::string_view end) {
    return problem.ends_with(end) && problem.find("secret\n") == std::string::npos;
  };
  constexpr std::string_view open = " may be read or written by every user: use chmod o-rw";
  EXPECT_TRUE(ends_with(load_secrets("ann:secret\n", 0644), open));
  EXPECT_TRUE(ends_with(load_secrets("ann:secret\n", 0602), open));
  EXPECT_TRUE(ends_with(load_secrets("ann\n", 0600), ": expected one line USER:PASSWORD"));
  EXPECT_TRUE(ends_with(load_secrets("", 0600), ": expected one line USER:PASSWORD"));
  EXPECT_TRUE(ends_with(load_secrets(":secret\n", 0600), ": expected one line USER:PASSWORD"));
  EXPECT_NE(std::string::npos,
            load_secrets("a:b\nc:d\n", 0600).find(": expected one line USER:PASSWORD in "));
  EXPECT_TRUE(ends_with(load_secrets(std::string(256, 'u') + ":x", 0600),
                        ": user and password may have at most 255 octets each"));
  EXPECT_TRUE(ends_with(load_secrets(std::string(1025, 'u'), 0600), " is larger than 1 KiB"));
  unlink(secrets.c_str());
}

TEST(UnknownVariable, KnowsEverySettingAndItsNeighbours) {
  for (const Option& option : options()) {
    const std::string name = option.variable;
    EXPECT_EQ("", unknown_variable(name + "=x").name) << name;
    for (const std::string& wrong : {name + "S", name.substr(0, name.size() - 1) + "X"}) {
      const std::string entry = wrong + "=value";
      const UnknownVariable unknown = unknown_variable(entry);
      if (unknown.name.empty()) {
        continue;  // another setting
      }
      EXPECT_EQ(wrong, unknown.name);
      EXPECT_NE("", unknown.meant) << wrong;
    }
  }
  EXPECT_EQ("", unknown_variable("SOCKS64_CONFIG=/x").name);
  EXPECT_EQ("", unknown_variable("SOCKS64_TABLE=/x").name);
  EXPECT_EQ("", unknown_variable("SOCKS64_LIBRARY=/x").name);
  EXPECT_EQ("SOCKS64_GATEWAY", unknown_variable("SOCKS64_GATWAY=x").meant);
  EXPECT_EQ("SOCKS64_RULES", unknown_variable("SOCKS64_RULE=x").meant);
  EXPECT_EQ("SOCKS64_ELSEWHERE", unknown_variable("SOCKS64_ELSEWHERE=x").name);
  EXPECT_EQ("", unknown_variable("SOCKS64_ELSEWHERE=x").meant);
}

TEST(UnknownVariable, LeavesOthersAlone) {
  for (const char* entry : {"", "=", "PATH=/bin", "SOCKS64", "SOCKS5_SERVER=x",
                            "SOCKS64_\x1b[31m=x", "SOCKS64_GATEWAY%00=x"}) {
    EXPECT_EQ("", unknown_variable(entry).name) << entry;
  }
}

TEST_F(ShimConfigLoad, TheGatewayIsNoFakeAddress) {
  write("fake_ipv4 = 198.18.0.0/16\ngateway = socks5://198.18.1.1\n");
  EXPECT_EQ("gateway: its address 198.18.1.1 is in a block of fake addresses", load());
}

}  // namespace
}  // namespace socks64::shim
