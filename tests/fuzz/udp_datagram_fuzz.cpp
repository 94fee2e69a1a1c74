// What an association makes of a datagram from its client. The input is the datagram. What is not
// dropped names one host or one name, points into the input, and its target makes a header that is
// judged the same again; nothing is dropped for more than one cause, and a shorter header is none.
#include <algorithm>
#include <array>
#include <string_view>
#include <variant>
#include <vector>

#include "socks64/message.hpp"

#include "datagram/udp_datagram.hpp"
#include "fuzz.hpp"

using namespace socks64;
using namespace socks64::gateway;
using fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes datagram(data, size);
  const ClientDatagram judged = judge_datagram(datagram);
  if (judged.drop) {
    require(*judged.drop == UdpDrop::malformed || *judged.drop == UdpDrop::fragment ||
            *judged.drop == UdpDrop::destination);
    if (*judged.drop == UdpDrop::fragment) {
      require(size > 2 && data[2] != 0);
    }
    return 0;
  }
  require(size > 2 && data[2] == 0);
  const std::size_t header = size - judged.payload.size();
  require(judged.payload.size() < size && judged.payload.data() == data + header);
  require(port_of(judged.target) != 0);
  for (std::size_t part = 0; part < header; ++part) {
    require(judge_datagram(datagram.first(part)).drop == UdpDrop::malformed);
  }
  std::array<std::uint8_t, max_udp_header_size> again{};
  Writer out(again);
  encode(out, UdpHeader{0, judged.target});
  require(out.ok());
  if (const auto* endpoint = std::get_if<Endpoint>(&judged.target)) {
    require(is_usable_destination(*endpoint));
    require(!endpoint->address.is_v4_mapped() && !endpoint->address.is_multicast() &&
            !endpoint->address.is_unspecified());
    const ReplyHeader of_reply(*endpoint);
    const Bytes reply = of_reply.octets();
    require(reply.size() == out.size() && std::equal(reply.begin(), reply.end(), again.begin()));
    // Somebody is the client whatever the request said, and it is not everybody.
    ClientSource source(endpoint->address, judged.target);
    require(source.admits(*endpoint));
    require(source.endpoint().port == endpoint->port);
    require(!source.admits({endpoint->address, static_cast<Port>(endpoint->port + 1)}));
    if (endpoint->address.zone() != 0) {
      return 0;  // zones do not travel
    }
  }
  const ClientDatagram second = judge_datagram(Bytes(again).first(out.size()));
  require(!second.drop && second.target == judged.target && second.payload.empty());
  return 0;
}
