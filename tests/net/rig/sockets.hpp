// Raw TCP peers on loopback: the client of the gateway, and the destination behind it.
#ifndef SOCKS64_TESTS_NET_GATEWAY_SOCKETS_HPP
#define SOCKS64_TESTS_NET_GATEWAY_SOCKETS_HPP

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "socks64/message.hpp"

#include "base/descriptor.hpp"

namespace socks64::gateway::test {

/// How long anything may take on a machine that has other things to do. Reaching it fails the test.
inline constexpr std::chrono::seconds patience{30};

/// A connected TCP socket that never waits longer than `patience`.
class Stream {
 public:
  explicit Stream(Descriptor socket);
  /// Throws when it cannot connect.
  static Stream connect(const Endpoint& to);
  /// The errno of a connect; 0 when it worked.
  static int try_connect(const Endpoint& to);
  /// To a UNIX socket.
  static Stream connect(const std::string& path);
  static int try_connect(const std::string& path);

  void send(std::string_view octets);
  /// False when the connection is broken.
  bool try_send(std::string_view octets);
  /// Exactly so many; less when the stream ends before.
  std::string receive(std::size_t count);
  /// To EOF. `reset` tells whether it was an RST instead.
  std::string receive_all(bool* reset = nullptr);
  void finish();  ///< FIN
  void reset();   ///< RST
  void close() { socket_.close(); }
  [[nodiscard]] int fd() const { return socket_.get(); }
  /// Waits until the peer's kernel has everything that was sent.
  void flush() const;
  [[nodiscard]] Endpoint local() const;
  [[nodiscard]] Endpoint remote() const;

 private:
  Descriptor socket_;
};

class Destination {
 public:
  explicit Destination(std::string_view address = "127.0.0.1", int backlog = 1024);
  [[nodiscard]] Endpoint endpoint() const { return endpoint_; }
  [[nodiscard]] Port port() const { return endpoint_.port; }
  Stream accept();
  [[nodiscard]] int fd() const { return socket_.get(); }

 private:
  Descriptor socket_;
  Endpoint endpoint_;
};

/// A destination whose kernel answers no SYN any more: its queue is full.
class BlackHole {
 public:
  BlackHole();
  [[nodiscard]] Endpoint endpoint() const { return destination_.endpoint(); }

 private:
  Destination destination_;
  std::vector<Descriptor> fillers_;
};

/// A port that refuses: bound, so that nobody else takes it, and not listening.
class ClosedPort {
 public:
  ClosedPort();
  [[nodiscard]] Endpoint endpoint() const { return endpoint_; }

 private:
  Descriptor socket_;
  Endpoint endpoint_;
};

/// A DNS server that knows no name.
class EmptyDns {
 public:
  EmptyDns();
  ~EmptyDns();
  [[nodiscard]] Endpoint endpoint() const { return endpoint_; }

 private:
  Descriptor socket_;
  Endpoint endpoint_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

[[nodiscard]] bool has_ipv6_loopback();
[[nodiscard]] Endpoint endpoint(std::string_view address, Port port);

// Messages as octets.
inline const std::string greeting_none("\x05\x01\x00", 3);
std::string request(const Target& target, Command command = Command::connect);
std::string request(std::string_view name, Port port);

struct ReplyMessage {
  int code = -1;  ///< -1: none came
  Endpoint bound;
};
/// The method choice, which must be `none`, and then the reply.
ReplyMessage receive_answer(Stream& client);
ReplyMessage receive_reply(Stream& client);
/// Greeting and request in one, then the answer.
ReplyMessage ask(Stream& client, const Target& target);
ReplyMessage ask(Stream& client, std::string_view name, Port port);

/// Octets that show where they are.
std::string pattern(std::size_t size, unsigned seed);

}  // namespace socks64::gateway::test

#endif
