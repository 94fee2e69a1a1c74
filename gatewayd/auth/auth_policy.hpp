// Who has to say who they are, and how: methods per listener and per client network, and the users.
// A part of the policy (policy.hpp), so a reload replaces all of it at once.
#ifndef SOCKS64_GATEWAYD_AUTH_POLICY_HPP
#define SOCKS64_GATEWAYD_AUTH_POLICY_HPP

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "socks64/message.hpp"
#include "socks64/prefix.hpp"

#include "auth/users.hpp"
#include "base/client.hpp"

namespace socks64::gateway {

/// The preferred one first. `none` and `userpass` ("password" in the configuration) so far.
using Methods = std::vector<Method>;

/// "none" or "password" into `methods`; what is wrong with the word otherwise, or with having it
/// twice.
[[nodiscard]] std::string add_method(std::string_view word, Methods& methods);

/// An exception to a listener's methods: [[listener.clients]].
struct ClientMethods {
  std::vector<Prefix> from;
  Methods methods;
};

struct ListenerAuth {
  Methods methods;                     ///< empty: those of [auth]
  std::vector<ClientMethods> clients;  ///< the first that contains the client's address counts
};

/// [auth]
struct AuthConfig {
  std::string users_file;
  Methods methods{Method::none};
  std::chrono::seconds cache_time{300};  ///< how long a right password is remembered
  std::shared_ptr<const UserTable> users = std::make_shared<const UserTable>();
};

struct AuthPolicy {
  std::shared_ptr<const UserTable> users;
  std::chrono::seconds cache_time{0};
  Methods methods;
  std::vector<ListenerAuth> listeners;  ///< as Config::listeners

  /// Never empty. `listener`: an index into `listeners`; beyond them the methods of [auth].
  [[nodiscard]] std::span<const Method> methods_for(std::size_t listener,
                                                    const Client& client) const noexcept;
};

/// Whether clients that nobody has named may use this listener without a password. Networks that
/// [[listener.clients]] lets in without one are named, if they are not everybody (rule_sets.hpp).
[[nodiscard]] bool admits_anybody(const AuthConfig& auth, const ListenerAuth& listener) noexcept;
/// Whether there is any client, named or not, that may use this listener without a password.
[[nodiscard]] bool admits_without_password(const AuthConfig& auth,
                                           const ListenerAuth& listener) noexcept;
/// Whether anybody is asked for a password there.
[[nodiscard]] bool asks_for_passwords(const AuthConfig& auth,
                                      const ListenerAuth& listener) noexcept;

}  // namespace socks64::gateway

#endif
