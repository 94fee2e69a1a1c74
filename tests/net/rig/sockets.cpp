#include "rig/sockets.hpp"

#include <array>
#include <cerrno>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <random>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <system_error>

#include <gtest/gtest.h>

#include "socks64/sockaddr.hpp"

namespace socks64::gateway::test {
namespace {

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

int family_of(const Endpoint& endpoint) {
  return endpoint.address.is_v4() ? AF_INET : AF_INET6;
}

Endpoint name_of(int fd, decltype(&::getsockname) ask_for) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  if (ask_for(fd, reinterpret_cast<sockaddr*>(&name), &size) != 0) {
    fail("getsockname");
  }
  return *from_sockaddr(reinterpret_cast<const sockaddr*>(&name), size);
}

Descriptor bound_socket(const Endpoint& address, int type) {
  Descriptor socket(::socket(family_of(address), type | SOCK_CLOEXEC, 0));
  if (!socket) {
    fail("socket");
  }
  sockaddr_storage name{};
  const socklen_t size = to_sockaddr(address, name);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0) {
    fail("bind");
  }
  return socket;
}

}  // namespace

Endpoint endpoint(std::string_view address, Port port) {
  return {*IpAddress::parse(address), port};
}

bool has_ipv6_loopback() {
  try {
    (void)bound_socket(endpoint("::1", 0), SOCK_STREAM);
    return true;
  } catch (const std::system_error&) {
    return false;
  }
}

Stream::Stream(Descriptor socket) : socket_(std::move(socket)) {
  const timeval limit{patience.count(), 0};
  const int on = 1;
  ::setsockopt(fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  ::setsockopt(fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Stream Stream::connect(const Endpoint& to) {
  Descriptor socket(::socket(family_of(to), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) {
    fail("socket");
  }
  sockaddr_storage name{};
  const socklen_t size = to_sockaddr(to, name);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0) {
    fail("connect");
  }
  return Stream(std::move(socket));
}

int Stream::try_connect(const Endpoint& to) {
  try {
    (void)connect(to);
    return 0;
  } catch (const std::system_error& error) {
    return error.code().value();
  }
}

Stream Stream::connect(const std::string& path) {
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) {
    fail("socket");
  }
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  path.copy(name.sun_path, sizeof name.sun_path - 1);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
    fail("connect");
  }
  return Stream(std::move(socket));
}

int Stream::try_connect(const std::string& path) {
  try {
    (void)connect(path);
    return 0;
  } catch (const std::system_error& error) {
    return error.code().value();
  }
}

bool Stream::try_send(std::string_view octets) {
  while (!octets.empty()) {
    const ssize_t sent = ::send(fd(), octets.data(), octets.size(), MSG_NOSIGNAL);
    if (sent < 0) {
      return false;
    }
    octets.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void Stream::send(std::string_view octets) {
  if (!try_send(octets)) {
    fail("send");
  }
}

std::string Stream::receive(std::size_t count) {
  std::string octets(count, '\0');
  std::size_t have = 0;
  while (have < count) {
    const ssize_t got = ::recv(fd(), octets.data() + have, count - have, 0);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      break;
    }
    have += static_cast<std::size_t>(got);
  }
  octets.resize(have);
  return octets;
}

std::string Stream::receive_all(bool* reset) {
  std::string octets;
  std::array<char, 65536> piece;
  for (;;) {
    const ssize_t got = ::recv(fd(), piece.data(), piece.size(), 0);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      if (reset != nullptr) {
        *reset = got < 0 && errno == ECONNRESET;
      }
      if (got < 0 && errno != ECONNRESET) {
        ADD_FAILURE() << "recv: errno " << errno;
      }
      return octets;
    }
    octets.append(piece.data(), static_cast<std::size_t>(got));
  }
}

void Stream::finish() {
  ::shutdown(fd(), SHUT_WR);
}

void Stream::reset() {
  const linger now{1, 0};
  ::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close();
}

void Stream::flush() const {
  const auto until = std::chrono::steady_clock::now() + patience;
  int unacknowledged = 1;
  while (unacknowledged != 0 && std::chrono::steady_clock::now() < until) {
    if (::ioctl(fd(), SIOCOUTQ, &unacknowledged) != 0) {
      return;
    }
    std::this_thread::yield();
  }
}

Endpoint Stream::local() const {
  return name_of(fd(), ::getsockname);
}

Endpoint Stream::remote() const {
  return name_of(fd(), ::getpeername);
}

Destination::Destination(std::string_view address, int backlog)
    : socket_(bound_socket(test::endpoint(address, 0), SOCK_STREAM)) {
  if (::listen(socket_.get(), backlog) != 0) {
    fail("listen");
  }
  endpoint_ = name_of(socket_.get(), ::getsockname);
}

Stream Destination::accept() {
  pollfd ready{socket_.get(), POLLIN, 0};
  const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(patience);
  if (::poll(&ready, 1, static_cast<int>(limit.count())) != 1) {
    throw std::runtime_error("no connection arrived at the destination");
  }
  Descriptor socket(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!socket) {
    fail("accept");
  }
  return Stream(std::move(socket));
}

BlackHole::BlackHole() : destination_("127.0.0.1", 0) {
  // Linux drops a SYN when the accept queue is full, which with a backlog of 0 is one connection;
  // connects that are under way may still slip in, hence a few more.
  sockaddr_storage name{};
  const socklen_t size = to_sockaddr(destination_.endpoint(), name);
  for (int i = 0; i < 4; ++i) {
    Descriptor filler(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    (void)::connect(filler.get(), reinterpret_cast<const sockaddr*>(&name), size);
    fillers_.push_back(std::move(filler));
  }
}

ClosedPort::ClosedPort() : socket_(bound_socket(test::endpoint("127.0.0.1", 0), SOCK_STREAM)) {
  endpoint_ = name_of(socket_.get(), ::getsockname);
}

EmptyDns::EmptyDns() : socket_(bound_socket(test::endpoint("127.0.0.1", 0), SOCK_DGRAM)) {
  endpoint_ = name_of(socket_.get(), ::getsockname);
  thread_ = std::thread([this] {
    while (!stop_) {
      pollfd ready{socket_.get(), POLLIN, 0};
      if (::poll(&ready, 1, 20) != 1) {
        continue;
      }
      std::array<std::uint8_t, 1500> query;
      sockaddr_storage from{};
      socklen_t size = sizeof from;
      const ssize_t got = ::recvfrom(socket_.get(), query.data(), query.size(), 0,
                                     reinterpret_cast<sockaddr*>(&from), &size);
      if (got < 17) {
        continue;
      }
      // RFC 1035 section 4.1: the question as it came, QR RD RA set, RCODE 3, no other records.
      std::size_t end = 12;
      while (end < static_cast<std::size_t>(got) && query[end] != 0) {
        end += query[end] + 1U;
      }
      end += 5;
      if (end > static_cast<std::size_t>(got)) {
        continue;
      }
      query[2] = 0x81;
      query[3] = 0x83;
      for (std::size_t i = 6; i < 12; ++i) {
        query[i] = 0;
      }
      (void)::sendto(socket_.get(), query.data(), end, 0, reinterpret_cast<const sockaddr*>(&from),
                     size);
    }
  });
}

EmptyDns::~EmptyDns() {
  stop_ = true;
  thread_.join();
}

std::string request(const Target& target, Command command) {
  std::array<std::uint8_t, max_request_size> octets;
  Writer out(octets);
  encode(out, Request{command, target});
  return {octets.begin(), octets.begin() + static_cast<std::ptrdiff_t>(out.size())};
}

std::string request(std::string_view name, Port port) {
  return request(NamedEndpoint{*DomainName::from(name), port});
}

ReplyMessage receive_reply(Stream& client) {
  std::string octets = client.receive(5);
  if (octets.size() < 5) {
    return {};
  }
  const std::size_t rest = octets[3] == 0x01   ? 5
                           : octets[3] == 0x04 ? 17
                                               : static_cast<std::uint8_t>(octets[4]) + 2U;
  octets += client.receive(rest);
  const auto parsed =
      parse_reply({reinterpret_cast<const std::uint8_t*>(octets.data()), octets.size()});
  EXPECT_EQ(parsed.status, ParseStatus::complete);
  ReplyMessage reply;
  reply.code = static_cast<int>(parsed.value.code);
  if (const auto* bound = std::get_if<Endpoint>(&parsed.value.bound)) {
    reply.bound = *bound;
  }
  return reply;
}

ReplyMessage receive_answer(Stream& client) {
  EXPECT_EQ(client.receive(2), std::string("\x05\x00", 2));
  return receive_reply(client);
}

ReplyMessage ask(Stream& client, const Target& target) {
  client.send(greeting_none + request(target));
  return receive_answer(client);
}

ReplyMessage ask(Stream& client, std::string_view name, Port port) {
  client.send(greeting_none + request(name, port));
  return receive_answer(client);
}

std::string pattern(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string octets(size, '\0');
  for (char& octet : octets) {
    octet = static_cast<char>(random() & 0xffU);
  }
  return octets;
}

}  // namespace socks64::gateway::test
