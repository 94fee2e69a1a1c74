#include "base/own_end.hpp"

namespace socks64::gateway {

std::string add_address(std::string_view text, AddressPair& pair) {
  const Result<IpAddress> address = IpAddress::parse(text);
  if (!address) {
    return std::string(describe(address.error()));
  }
  if (address->is_v4_mapped()) {
    return "it is an IPv4-mapped address; write the IPv4 address instead";
  }
  if (address->is_unspecified()) {
    return "no peer can connect to the unspecified address";
  }
  if (address->is_multicast()) {
    return "it is a multicast address";
  }
  std::optional<IpAddress>& slot = address->is_v4() ? pair.v4 : pair.v6;
  if (slot) {
    return address->is_v4() ? "another IPv4 address is already listed"
                            : "another IPv6 address is already listed";
  }
  slot = *address;
  return {};
}

std::string parse_port_range(std::string_view text, PortRange& range) {
  if (text.empty()) {
    range = {};
    return {};
  }
  const std::size_t dash = text.find('-');
  const Result<Port> first = parse_port(text.substr(0, dash));
  const Result<Port> last =
      dash == std::string_view::npos ? first : parse_port(text.substr(dash + 1));
  if (!first || !last) {
    return "a port is not a number from 1 to 65535";
  }
  if (*first == 0) {
    return "it has port 0";
  }
  if (*last < *first) {
    return "the last port is below the first";
  }
  range = {*first, *last};
  return {};
}

}  // namespace socks64::gateway
