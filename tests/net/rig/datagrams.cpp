#include "rig/datagrams.hpp"

#include <array>
#include <cerrno>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sstream>
#include <sys/socket.h>
#include <system_error>
#include <vector>

#include <gtest/gtest.h>

#include "socks64/sockaddr.hpp"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

namespace socks64::gateway::test {
namespace {

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

std::string_view host_of(const Endpoint& endpoint) {
  return endpoint.address.is_v4() ? "127.0.0.1" : "::1";
}

}  // namespace

DatagramPeer::DatagramPeer(std::string_view address, Port port) {
  const Endpoint wanted = test::endpoint(address, port);
  socket_ = Descriptor(
      ::socket(wanted.address.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket_) {
    fail("socket");
  }
  const int room = 1 << 20;
  ::setsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  ::setsockopt(fd(), SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  sockaddr_storage name{};
  socklen_t size = to_sockaddr(wanted, name);
  if (::bind(fd(), reinterpret_cast<const sockaddr*>(&name), size) != 0) {
    fail("bind");
  }
  size = sizeof name;
  if (::getsockname(fd(), reinterpret_cast<sockaddr*>(&name), &size) != 0) {
    fail("getsockname");
  }
  endpoint_ = *from_sockaddr(reinterpret_cast<const sockaddr*>(&name), size);
}

int DatagramPeer::try_bind(const Endpoint& to) {
  try {
    const DatagramPeer bound(to.address.text(), to.port);
    return 0;
  } catch (const std::system_error& error) {
    return error.code().value();
  }
}

void DatagramPeer::send(const Endpoint& to, std::string_view payload) {
  sockaddr_storage name{};
  const socklen_t size = to_sockaddr(to, name);
  const ssize_t sent = ::sendto(fd(), payload.data(), payload.size(), 0,
                                reinterpret_cast<const sockaddr*>(&name), size);
  if (sent != static_cast<ssize_t>(payload.size())) {
    fail("sendto");
  }
}

bool DatagramPeer::send_run(const Endpoint& to, std::string_view payloads, std::size_t segment) {
  const int size_of_each = static_cast<int>(segment);
  if (::setsockopt(fd(), IPPROTO_UDP, UDP_SEGMENT, &size_of_each, sizeof size_of_each) != 0) {
    return false;
  }
  send(to, payloads);
  const int none = 0;
  ::setsockopt(fd(), IPPROTO_UDP, UDP_SEGMENT, &none, sizeof none);
  return true;
}

std::optional<Datagram> DatagramPeer::receive(std::chrono::milliseconds limit) {
  pollfd ready{fd(), POLLIN, 0};
  if (::poll(&ready, 1, static_cast<int>(limit.count())) != 1) {
    return std::nullopt;
  }
  Datagram datagram;
  datagram.payload.resize(65'536);
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  const ssize_t got = ::recvfrom(fd(), datagram.payload.data(), datagram.payload.size(), 0,
                                 reinterpret_cast<sockaddr*>(&name), &size);
  if (got < 0) {
    fail("recvfrom");
  }
  datagram.payload.resize(static_cast<std::size_t>(got));
  datagram.from = *from_sockaddr(reinterpret_cast<const sockaddr*>(&name), size);
  return datagram;
}

std::optional<Endpoint> DatagramPeer::echo() {
  const std::optional<Datagram> datagram = receive();
  if (!datagram) {
    return std::nullopt;
  }
  send(datagram->from, datagram->payload);
  return datagram->from;
}

std::string udp_header(const Target& target, std::uint8_t fragment) {
  std::array<std::uint8_t, max_udp_header_size> octets{};
  Writer out(octets);
  encode(out, UdpHeader{fragment, target});
  return {reinterpret_cast<const char*>(octets.data()), out.size()};
}

std::optional<Relayed> unwrap(const std::optional<Datagram>& datagram) {
  if (!datagram) {
    return std::nullopt;
  }
  const std::string& octets = datagram->payload;
  const auto header =
      parse_udp_header({reinterpret_cast<const std::uint8_t*>(octets.data()), octets.size()});
  if (header.status != ParseStatus::complete || header.value.fragment != 0) {
    ADD_FAILURE() << "the client got a datagram without a good header";
    return std::nullopt;
  }
  return Relayed{header.value.target, octets.substr(header.consumed)};
}

Associated::Associated(const Endpoint& gateway, std::optional<Target> announced)
    : control(Stream::connect(gateway)), socket(host_of(gateway)) {
  control.send(greeting_none +
               request(announced.value_or(socket.endpoint()), Command::udp_associate));
  reply_ = receive_answer(control);
}

void Associated::send(const Target& to, std::string_view payload) {
  socket.send(relay(), udp_header(to) + std::string(payload));
}

bool Associated::round_trip(DatagramPeer& peer, const Target& target, std::string_view payload,
                            Endpoint* seen) {
  send(target, payload);
  const std::optional<Datagram> arrived = peer.receive();
  if (!arrived || arrived->payload != payload) {
    return false;
  }
  if (seen != nullptr) {
    *seen = arrived->from;
  }
  peer.send(arrived->from, payload);
  const std::optional<Relayed> back = receive();
  return back && back->payload == payload && back->from == Target(peer.endpoint());
}

std::map<std::string, unsigned> drops(const Fields& record) {
  std::map<std::string, unsigned> causes;
  const auto field = record.find("dropped");
  if (field == record.end() || field->second == "-") {
    return causes;
  }
  std::istringstream entries(field->second);
  for (std::string entry; std::getline(entries, entry, ',');) {
    const std::size_t colon = entry.find(':');
    causes[entry.substr(0, colon)] = static_cast<unsigned>(std::stoul(entry.substr(colon + 1)));
  }
  return causes;
}

}  // namespace socks64::gateway::test
