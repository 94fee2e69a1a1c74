#include "auth/auth_policy.hpp"

#include <algorithm>

#include "rules/rule_sets.hpp"

namespace socks64::gateway {
namespace {

bool has(const Methods& methods, Method method) noexcept {
  return std::find(methods.begin(), methods.end(), method) != methods.end();
}

}  // namespace

std::string add_method(std::string_view word, Methods& methods) {
  Method method = Method::none;
  if (word == "password") {
    method = Method::userpass;
  } else if (word == "gssapi") {
    return "it is not supported yet";
  } else if (word != "none") {
    return "it is unknown";
  }
  if (has(methods, method)) {
    return "it is listed twice";
  }
  methods.push_back(method);
  return {};
}

std::span<const Method> AuthPolicy::methods_for(std::size_t listener,
                                                const Client& client) const noexcept {
  if (listener >= listeners.size()) {
    return methods;
  }
  const ListenerAuth& auth = listeners[listener];
  if (!client.process) {
    for (const ClientMethods& some : auth.clients) {
      for (const Prefix& block : some.from) {
        if (block.contains(client.endpoint.address)) {
          return some.methods;
        }
      }
    }
  }
  return auth.methods.empty() ? methods : auth.methods;
}

bool admits_anybody(const AuthConfig& auth, const ListenerAuth& listener) noexcept {
  if (has(listener.methods.empty() ? auth.methods : listener.methods, Method::none)) {
    return true;
  }
  NetworkSet named;
  for (const ClientMethods& some : listener.clients) {
    if (!has(some.methods, Method::none)) {
      continue;
    }
    for (const Prefix& block : some.from) {
      named.add(block);
    }
  }
  named.seal();
  return is_everybody(named, Family::ipv4) || is_everybody(named, Family::ipv6);
}

bool admits_without_password(const AuthConfig& auth, const ListenerAuth& listener) noexcept {
  return has(listener.methods.empty() ? auth.methods : listener.methods, Method::none) ||
         std::any_of(listener.clients.begin(), listener.clients.end(),
                     [](const ClientMethods& some) { return has(some.methods, Method::none); });
}

bool asks_for_passwords(const AuthConfig& auth, const ListenerAuth& listener) noexcept {
  return has(listener.methods.empty() ? auth.methods : listener.methods, Method::userpass) ||
         std::any_of(listener.clients.begin(), listener.clients.end(),
                     [](const ClientMethods& some) { return has(some.methods, Method::userpass); });
}

}  // namespace socks64::gateway
