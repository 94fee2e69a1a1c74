// Addresses, prefixes, ports and endpoints as text: what is accepted prints canonically and reads
// back as the same value, and inet_pton(3) agrees on which addresses are addresses.
#include <algorithm>
#include <arpa/inet.h>
#include <string>

#include "socks64/address.hpp"
#include "socks64/prefix.hpp"

#include "fuzz.hpp"

namespace {

using namespace socks64;
using fuzz::require;

void check_against_libc(std::string_view text) {
  // Zones are not inet_pton's, and a NUL ends its text.
  if (text.find('%') != std::string_view::npos || text.find('\0') != std::string_view::npos) {
    return;
  }
  const std::string terminated(text);
  IpAddress::V6Bytes octets{};
  const Result<IpAddress> ours = IpAddress::parse(text);
  const bool v4 = inet_pton(AF_INET, terminated.c_str(), octets.data()) == 1;
  const bool v6 = !v4 && inet_pton(AF_INET6, terminated.c_str(), octets.data()) == 1;
  require(ours.has_value() == (v4 || v6));
  if (!ours) {
    return;
  }
  require(ours->is_v4() == v4);
  require(std::ranges::equal(ours->bytes(), Bytes(octets).first(v4 ? 4 : 16)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::as_text({data, size});
  check_against_libc(text);

  if (const auto address = IpAddress::parse(text)) {
    const auto again = IpAddress::parse(address->text());
    require(again && *again == *address);
    require(again->text().view() == address->text().view());
    require(address->unmapped().is_v4() == (address->is_v4() || address->is_v4_mapped()));
    require(address->mapped().unmapped() == address->unmapped());
  }
  if (const auto prefix = Prefix::parse(text)) {
    const auto again = Prefix::parse(prefix->text());
    require(again && *again == *prefix);
    // Blocks above ::ffff:0:0/96 hold no address that a comparison would see as IPv6.
    require(prefix->contains(prefix->network()) || prefix->network().is_v4_mapped());
  }
  if (const auto endpoint = Endpoint::parse(text)) {
    const auto again = Endpoint::parse(endpoint->text());
    require(again && *again == *endpoint);
  }
  if (const auto port = parse_port(text)) {
    require(std::to_string(*port) == text);
  }
  if (const auto name = DomainName::from(text)) {
    require(name->view() == text);
  }
  return 0;
}
