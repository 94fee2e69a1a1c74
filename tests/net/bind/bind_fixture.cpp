#include "bind_fixture.hpp"

#include <cerrno>
#include <chrono>
#include <sys/socket.h>
#include <system_error>
#include <thread>

#include <fmt/format.h>

#include "socks64/sockaddr.hpp"

namespace socks64::gateway::test {

Stream connect_from(const Endpoint& from, const Endpoint& to) {
  Descriptor socket(
      ::socket(to.address.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_storage name{};
  socklen_t size = to_sockaddr(from, name);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0) {
    throw std::system_error(errno, std::generic_category(), "bind");
  }
  size = to_sockaddr(to, name);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0) {
    throw std::system_error(errno, std::generic_category(), "connect");
  }
  return Stream(std::move(socket));
}

ReplyMessage ask_bind(Stream& client, const Target& target) {
  client.send(greeting_none + request(target, Command::bind));
  return receive_answer(client);
}

Target named(std::string_view name, Port port) {
  return NamedEndpoint{*DomainName::from(name), port};
}

bool becomes_free(const Endpoint& where) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (std::chrono::steady_clock::now() < until) {
    try {
      connect_from(endpoint(wrong, 0), where).reset();
    } catch (const std::system_error& error) {
      if (error.code().value() == ECONNREFUSED) {
        return true;
      }
    }
    std::this_thread::yield();
  }
  return false;
}

void expect_carries(Stream& client, Stream& peer) {
  client.send("ping");
  EXPECT_EQ(peer.receive(4), "ping");
  peer.send("pong");
  EXPECT_EQ(client.receive(4), "pong");
}

std::string BindFixture::config(const std::string& bind, const std::string& more) const {
  return fmt::format(
      "[bind]\n{}\n[resolver]\nhosts_file = \"{}\"\nservers = [\"{}\"]\n[timeouts]\ndrain = "
      "\"10s\"\n{}\n",
      bind, hosts_, dns_.endpoint().text().view(), more);
}

GatewayProcess::Options BindFixture::both_families(const std::string& bind) const {
  return {config(bind), {"--listen", "127.0.0.1:0", "--listen", "[::1]:0"}};
}

}  // namespace socks64::gateway::test
