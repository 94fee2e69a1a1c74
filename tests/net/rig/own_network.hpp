// A network namespace of a test's own, of which only loopback is there.
#ifndef SOCKS64_TESTS_NET_GATEWAY_OWN_NETWORK_HPP
#define SOCKS64_TESTS_NET_GATEWAY_OWN_NETWORK_HPP

#include <functional>

namespace socks64::gateway::test {

/// Runs `body` on a thread that is in a network of its own, as is what it starts there; loopback is
/// up and has this MTU. False, without having run it, when that is not allowed.
[[nodiscard]] bool in_own_network(int mtu, const std::function<void()>& body);

}  // namespace socks64::gateway::test

#endif
