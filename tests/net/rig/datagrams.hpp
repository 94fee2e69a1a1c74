// UDP peers on loopback: the client of an association, and the destinations behind it.
#ifndef SOCKS64_TESTS_NET_GATEWAY_DATAGRAMS_HPP
#define SOCKS64_TESTS_NET_GATEWAY_DATAGRAMS_HPP

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "socks64/message.hpp"

#include "base/descriptor.hpp"
#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {

/// What says that nothing comes: long enough for a datagram that is on its way on loopback.
inline constexpr std::chrono::milliseconds silence{200};

struct Datagram {
  Endpoint from;
  std::string payload;
};

class DatagramPeer {
 public:
  /// Throws when it cannot be bound there.
  explicit DatagramPeer(std::string_view address = "127.0.0.1", Port port = 0);
  /// The errno of binding there; 0 when it works.
  static int try_bind(const Endpoint& to);

  [[nodiscard]] Endpoint endpoint() const { return endpoint_; }
  [[nodiscard]] Port port() const { return endpoint_.port; }
  [[nodiscard]] int fd() const { return socket_.get(); }
  void send(const Endpoint& to, std::string_view payload);
  /// As QUIC programs do (UDP_SEGMENT): datagrams of `segment` octets each, but for the last, in
  /// one call. False, with nothing sent, when this kernel cannot.
  [[nodiscard]] bool send_run(const Endpoint& to, std::string_view payloads, std::size_t segment);
  /// Nothing when none comes in time.
  std::optional<Datagram> receive(
      std::chrono::milliseconds limit =
          std::chrono::duration_cast<std::chrono::milliseconds>(patience));
  /// The next one goes back to where it came from; its sender, or nothing when none came.
  std::optional<Endpoint> echo();

 private:
  Descriptor socket_;
  Endpoint endpoint_;
};

std::string udp_header(const Target& target, std::uint8_t fragment = 0);

/// A datagram as the client gets it.
struct Relayed {
  Target from;
  std::string payload;
};
std::optional<Relayed> unwrap(const std::optional<Datagram>& datagram);

/// An association and its client. The request announces the client's port unless `announced` says
/// otherwise.
class Associated {
 public:
  explicit Associated(const Endpoint& gateway, std::optional<Target> announced = std::nullopt);

  [[nodiscard]] int code() const { return reply_.code; }
  /// Where the client's datagrams go.
  [[nodiscard]] const Endpoint& relay() const { return reply_.bound; }

  void send(const Target& to, std::string_view payload);
  std::optional<Relayed> receive() { return unwrap(socket.receive()); }
  /// Sends to an echoing peer; whether it came there and back as it was. `seen`: where the peer saw
  /// it come from.
  bool round_trip(DatagramPeer& peer, const Target& target, std::string_view payload,
                  Endpoint* seen = nullptr);

  Stream control;
  DatagramPeer socket;

 private:
  ReplyMessage reply_;
};

/// "dropped" of an access record.
std::map<std::string, unsigned> drops(const Fields& record);

}  // namespace socks64::gateway::test

#endif
