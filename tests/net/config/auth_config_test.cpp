// [auth], auth of a listener, and its exceptions by client network.
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "auth/auth_policy.hpp"
#include "authorise/policy.hpp"
#include "config/config.hpp"

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

Methods methods_for(const AuthPolicy& policy, std::size_t listener, const Client& client) {
  const std::span<const Method> methods = policy.methods_for(listener, client);
  return {methods.begin(), methods.end()};
}

Client client(const char* address) {
  return Endpoint{*IpAddress::parse(address), 1};
}

TEST(AuthConfig, NobodyIsAskedUnlessTheFileSaysSo) {
  const ConfigResult result = parse_config("", "f");
  const AuthPolicy policy = make_auth_policy(result.config);
  EXPECT_EQ(methods_for(policy, 0, client("127.0.0.1")), Methods{Method::none});
  EXPECT_TRUE(admits_anybody(result.config.auth, result.config.listeners[0].auth));
  EXPECT_EQ(result.config.auth.cache_time, 5min);
  EXPECT_EQ(result.config.auth.users_file, "");
}

TEST(AuthConfig, TheFirstNetworkThatContainsTheClientCounts) {
  const ConfigResult result = parse_config(R"(
[auth]
users_file = "/u"
methods = ["password"]
cache_time = "1m"
[[listener]]
address = "[::]:1"
[[listener]]
address = "[::]:2"
auth = ["none", "password"]
  [[listener.clients]]
  from = ["10.0.0.0/8", "2001:db8::/32"]
  auth = ["none"]
  [[listener.clients]]
  from = ["10.1.0.0/16", "::/0"]
  auth = ["password", "none"]
[[listener]]
address = "unix:/s"
)",
                                           "f");
  EXPECT_EQ(all(result.problems), "");
  EXPECT_EQ(result.config.auth.users_file, "/u");
  EXPECT_EQ(result.config.auth.cache_time, 1min);
  const AuthPolicy policy = make_auth_policy(result.config);
  const Methods none{Method::none};
  const Methods password{Method::userpass};
  const Methods password_none{Method::userpass, Method::none};
  const Methods none_password{Method::none, Method::userpass};
  EXPECT_EQ(methods_for(policy, 0, client("10.1.2.3")), password);
  EXPECT_EQ(methods_for(policy, 1, client("10.1.2.3")), none);
  EXPECT_EQ(methods_for(policy, 1, client("::ffff:10.1.2.3")), none);
  EXPECT_EQ(methods_for(policy, 1, client("2001:db8::1")), none);
  EXPECT_EQ(methods_for(policy, 1, client("2001:db9::1")), password_none);
  EXPECT_EQ(methods_for(policy, 1, client("192.0.2.1")), none_password);
  EXPECT_EQ(methods_for(policy, 2, Client(Client::Process{1, 2})), password);
  EXPECT_EQ(methods_for(policy, 9, client("10.1.2.3")), password) << "never more than [auth] gives";
  EXPECT_FALSE(admits_anybody(result.config.auth, result.config.listeners[0].auth));
  EXPECT_TRUE(admits_anybody(result.config.auth, result.config.listeners[1].auth));
  EXPECT_TRUE(asks_for_passwords(result.config.auth, result.config.listeners[1].auth));
}

TEST(AuthConfig, NetworksThatAreEverybodyInPiecesNameNobody) {
  const auto anybody = [](const std::string& networks) {
    const ConfigResult result = parse_config(
        "[auth]\nusers_file = \"/u\"\n[[listener]]\naddress = \"192.0.2.1:1080\"\n"
        "auth = [\"password\"]\n" +
            networks,
        "f");
    EXPECT_EQ(all(result.problems), "");
    return admits_anybody(result.config.auth, result.config.listeners[0].auth);
  };
  const auto clients = [](std::string_view from) {
    return fmt::format("[[listener.clients]]\nfrom = [{}]\nauth = [\"none\"]\n", from);
  };
  EXPECT_TRUE(anybody(clients("\"0.0.0.0/1\", \"128.0.0.0/1\"")));
  EXPECT_TRUE(anybody(clients("\"0.0.0.0/2\"") + clients("\"64.0.0.0/2\"")));
  EXPECT_TRUE(anybody(clients("\"2000::/3\"")));
  EXPECT_FALSE(anybody(clients("\"10.0.0.0/8\", \"2001:db8::/32\"")));
  EXPECT_FALSE(anybody(""));
}

struct Case {
  const char* text;
  const char* problem;
};

TEST(AuthConfig, WrongValuesAreNamed) {
  constexpr Case cases[] = {
      {"[auth]\nmethods = [\"passwd\"]",
       "f:2:12: auth.methods: \"passwd\" is wrong: it is unknown; expected \"none\" or "
       "\"password\", the "
       "preferred one first"},
      {"[auth]\nmethods = [\"gssapi\"]",
       "f:2:12: auth.methods: \"gssapi\" is wrong: it is not supported yet; expected \"none\" or "
       "\"password\", the preferred one first"},
      {"[auth]\nmethods = [\"none\", \"none\"]",
       "f:2:20: auth.methods: \"none\" is wrong: it is listed twice; expected \"none\" or "
       "\"password\", "
       "the preferred one first"},
      {"[auth]\nmethods = []",
       "f:1:1: auth: methods is empty, expected \"none\" or \"password\", the preferred one "
       "first"},
      {"[auth]\nmethods = \"none\"",
       "f:2:11: auth.methods: \"none\" is wrong, expected an array in which each entry is \"none\" "
       "or "
       "\"password\", the preferred one first"},
      {"[auth]\nmethods = [\"password\"]",
       "f:1:1: auth: methods lists \"password\", which needs a users_file; expected users_file in "
       "[auth]"},
      {"[auth]\nmethod = [\"password\"]",
       "f:2:1: auth.method: unknown key, did you mean \"methods\"?"},
      {"[auth]\nusers_file = \"\"",
       "f:2:14: auth.users_file: \"\" is wrong, expected the path of a file"},
      {"[auth]\ncache_time = \"25h\"",
       "f:2:14: auth.cache_time: \"25h\" is wrong, expected 0s to 24h"},
      {"[[listener]]\naddress = \"[::1]:1\"\nauth = [\"password\"]",
       "f:1:1: listener: auth lists \"password\", which needs a users_file; expected users_file in "
       "[auth]"},
      {"[[listener]]\naddress = \"[::1]:1\"\n[[listener.clients]]\nauth = [\"none\"]",
       "f:3:1: listener.clients: from is missing"},
      {"[[listener]]\naddress = \"[::1]:1\"\n[[listener.clients]]\nfrom = [\"::1\"]",
       "f:3:1: listener.clients: auth is missing"},
      {"[[listener]]\naddress = \"[::1]:1\"\n[[listener.clients]]\nauth = [\"none\"]\nfrom = []",
       "f:3:1: listener.clients: from is empty, expected a network"},
      {"[[listener]]\naddress = \"[::1]:1\"\n[[listener.clients]]\nauth = [\"none\"]\nfrom = "
       "[\"10.0.0.1/8\"]",
       "f:5:9: listener.clients.from: \"10.0.0.1/8\" is wrong: not an address prefix; expected a "
       "network such as \"192.0.2.0/24\" or \"2001:db8::/32\""},
      {"[[listener]]\naddress = \"unix:/s\"\n[[listener.clients]]\nauth = [\"none\"]\nfrom = "
       "[\"::1\"]",
       "f:1:1: listener: clients is set, but clients of a UNIX socket have no network address; "
       "expected auth alone"},
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

TEST(AuthConfig, UsersWhomNobodyAsksForAreASlip) {
  const ConfigResult result = parse_config("[auth]\nusers_file = \"/u\"\n", "f");
  EXPECT_NE(all(result.problems).find("no listener asks for a password"), std::string::npos)
      << all(result.problems);
  EXPECT_EQ(all(parse_config("[auth]\nusers_file = \"/u\"\n[[listener]]\naddress = \"[::1]:1\"\n"
                             "auth = [\"password\"]\n",
                             "f")
                    .problems),
            "");
}

TEST(AuthConfig, TheInstalledFileShowsTheDefaults) {
  std::ifstream file(GATEWAYD_CONF);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const AuthConfig defaults;
  EXPECT_EQ(defaults.methods, Methods{Method::none});
  EXPECT_EQ(defaults.cache_time, 5min);
  for (const char* line : {"\n#methods = [\"none\"]\n", "\n#cache_time = \"5m\"  # 0s to 24h\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace socks64::gateway
