#include "account/udp_counts.hpp"

namespace socks64::gateway {

std::string_view describe(UdpDrop cause) noexcept {
  switch (cause) {
    case UdpDrop::foreign:
      return "foreign";
    case UdpDrop::malformed:
      return "malformed";
    case UdpDrop::fragment:
      return "fragment";
    case UdpDrop::destination:
      return "destination";
    case UdpDrop::denied:
      return "denied";
    case UdpDrop::name:
      return "name";
    case UdpDrop::waiting:
      return "waiting";
    case UdpDrop::rate:
      return "rate";
    case UdpDrop::unsolicited:
      return "unsolicited";
    case UdpDrop::oversized:
      return "oversized";
    case UdpDrop::congested:
      return "congested";
    case UdpDrop::unreachable:
      break;
  }
  return "unreachable";
}

}  // namespace socks64::gateway
