#include "auth_policy.hpp"

#include <algorithm>

namespace socks64::gateway {
namespace {

bool has(const Methods& methods, Method method) noexcept {
  return std::find(methods.begin(), methods.end(), method) != methods.end();
}

bool any_has(const AuthConfig& auth, const ListenerAuth& listener, Method method) noexcept {
  return has(listener.methods.empty() ? auth.methods : listener.methods, method) ||
         std::any_of(listener.clients.begin(), listener.clients.end(),
                     [method](const ClientMethods& some) { return has(some.methods, method); });
}

}  // namespace

std::string add_method(std::string_view word, Methods& methods) {
  Method method = Method::none;
  if (word == "password") {
    method = Method::userpass;
  } else if (word == "gssapi") {
    return "not supported yet";
  } else if (word != "none") {
    return "unknown";
  }
  if (has(methods, method)) return "listed twice";
  methods.push_back(method);
  return {};
}

std::span<const Method> AuthPolicy::methods_for(std::size_t listener,
                                                const Client& client) const noexcept {
  if (listener >= listeners.size()) return methods;
  const ListenerAuth& auth = listeners[listener];
  if (!client.process) {
    for (const ClientMethods& some : auth.clients) {
      for (const Prefix& block : some.from) {
        if (block.contains(client.endpoint.address)) return some.methods;
      }
    }
  }
  return auth.methods.empty() ? methods : auth.methods;
}

bool admits_anybody(const AuthConfig& auth, const ListenerAuth& listener) noexcept {
  return any_has(auth, listener, Method::none);
}

bool asks_for_passwords(const AuthConfig& auth, const ListenerAuth& listener) noexcept {
  return any_has(auth, listener, Method::userpass);
}

}  // namespace socks64::gateway
