#include "settings/listen_address.hpp"

#include "base/escape.hpp"
#include "base/unix_socket.hpp"

namespace socks64::gateway {

std::string ListenAddress::text() const {
  return is_unix() ? "unix:" + escaped(path) : std::string(endpoint.text().view());
}

bool parse_listen_address(std::string_view text, ListenAddress& out, std::string& problem) {
  constexpr std::string_view unix_prefix = "unix:";
  if (text.starts_with(unix_prefix)) {
    const std::string_view path = text.substr(unix_prefix.size());
    problem = socket_path_problem(path);
    if (!problem.empty()) {
      return false;
    }
    out = {};
    out.path = path;
    return true;
  }
  const Result<Endpoint> endpoint = Endpoint::parse(text);
  if (!endpoint) {
    const bool bracketed = text.starts_with('[') && text.ends_with(']');
    const std::string_view address = bracketed ? text.substr(1, text.size() - 2) : text;
    problem = IpAddress::parse(address) ? "the port is missing" : describe(endpoint.error());
    return false;
  }
  if (endpoint->address.is_v4_mapped()) {
    problem = "it is an IPv4-mapped address; write the IPv4 address instead";
    return false;
  }
  if (endpoint->address.is_multicast()) {
    problem = "it is a multicast address";
    return false;
  }
  out = *endpoint;
  return true;
}

}  // namespace socks64::gateway
