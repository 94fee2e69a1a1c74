// A gateway that serves BIND on loopback, and peers that connect from addresses of their own
// choice.
#ifndef SOCKS64_TESTS_NET_GATEWAY_BIND_FIXTURE_HPP
#define SOCKS64_TESTS_NET_GATEWAY_BIND_FIXTURE_HPP

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {

inline const Endpoint any_v4 = endpoint("0.0.0.0", 0);
inline const Endpoint any_v6 = endpoint("::", 0);
inline constexpr const char* right = "127.0.0.1";
inline constexpr const char* wrong = "127.0.0.2";

/// Throws when it cannot.
Stream connect_from(const Endpoint& from, const Endpoint& to);
/// Greeting and request in one, then the first reply.
ReplyMessage ask_bind(Stream& client, const Target& target);
Target named(std::string_view name, Port port = 0);
/// Waits until the port refuses, because what frees it is on its way. Asks as a stranger: the right
/// peer would be taken for what it is.
bool becomes_free(const Endpoint& where);
void expect_carries(Stream& client, Stream& peer);

/// Names are in a hosts file; DNS knows none.
class BindFixture : public ::testing::Test {
 protected:
  /// `bind`: keys of [bind]. `more`: whole tables.
  [[nodiscard]] std::string config(const std::string& bind = {},
                                   const std::string& more = {}) const;
  [[nodiscard]] GatewayProcess::Options both_families(const std::string& bind = {}) const;
  /// A port that nobody has, and that the kernel gives nobody by itself for a while.
  [[nodiscard]] static Port free_port() { return ClosedPort().endpoint().port; }

 private:
  EmptyDns dns_;
  TemporaryDirectory directory_;
  std::string hosts_ = directory_.write("hosts",
                                        "127.0.0.1 v4.test\n::1 v6.test\n"
                                        "::1 both.test\n127.0.0.1 both.test\n"
                                        "127.0.0.3 several.test\n127.0.0.1 several.test\n");
};

}  // namespace socks64::gateway::test

#endif
