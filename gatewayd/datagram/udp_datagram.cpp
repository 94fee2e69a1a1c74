#include "datagram/udp_datagram.hpp"

#include <algorithm>
#include <variant>

#include "socks64/message.hpp"

#include "base/dns_name.hpp"

namespace socks64::gateway {
namespace {

constexpr std::uint32_t limited_broadcast = 0xffffffff;

ClientDatagram dropped(UdpDrop cause) noexcept {
  ClientDatagram result;
  result.drop = cause;
  return result;
}

/// Of a literal that was sent as a name, too; never IPv4-mapped. Nothing for a real name.
std::optional<IpAddress> address_in(const Target& target) noexcept {
  if (const auto* endpoint = std::get_if<Endpoint>(&target)) {
    return endpoint->address.unmapped();
  }
  const auto* named = std::get_if<NamedEndpoint>(&target);
  const std::optional<IpAddress> literal = literal_from(named->name.view());
  if (!literal) {
    return std::nullopt;
  }
  return literal->unmapped();
}

}  // namespace

ClientDatagram judge_datagram(Bytes datagram) noexcept {
  const Parsed<UdpHeader> header = parse_udp_header(datagram);
  if (header.status != ParseStatus::complete) {
    return dropped(UdpDrop::malformed);
  }
  // RFC 1928 section 7: who does not reassemble drops what is not FRAG 0.
  if (header.value.fragment != 0) {
    return dropped(UdpDrop::fragment);
  }
  const Bytes payload = datagram.subspan(header.consumed);
  const std::optional<IpAddress> address = address_in(header.value.target);
  if (!address) {
    if (port_of(header.value.target) == 0) {
      return dropped(UdpDrop::destination);
    }
    return {std::nullopt, header.value.target, payload};
  }
  const Endpoint endpoint{*address, port_of(header.value.target)};
  if (!is_usable_destination(endpoint)) {
    return dropped(UdpDrop::destination);
  }
  return {std::nullopt, endpoint, payload};
}

bool is_usable_destination(const Endpoint& destination) noexcept {
  const IpAddress& address = destination.address;
  if (destination.port == 0 || address.is_unspecified() || address.is_multicast()) {
    return false;
  }
  return !address.is_v4() || address.v4_value() != limited_broadcast;
}

// What is not written is not read, and there is one for each datagram.
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
ReplyHeader::ReplyHeader(const Endpoint& sender) noexcept {
  Writer out(octets_);
  encode(out, UdpHeader{0, sender});
  size_ = out.size();
}

ClientSource::ClientSource(const IpAddress& client, const Target& announced) noexcept
    : address_(client) {
  // Some clients write their address, or "0.0.0.0", as a name. A real name tells us nothing.
  const std::optional<IpAddress> address = address_in(announced);
  if (!address) {
    return;
  }
  // No zone travels.
  const bool same =
      address->family() == client.family() &&
      std::equal(address->bytes().begin(), address->bytes().end(), client.bytes().begin());
  if (address->is_unspecified() || same) {
    port_ = port_of(announced);
  }
}

}  // namespace socks64::gateway
