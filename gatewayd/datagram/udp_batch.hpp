// Datagrams by the batch: one system call for many, into and out of memory that all associations of
// a worker share, so that one that is idle holds none. What comes in is here, what goes out is in
// udp_runs.hpp.
#ifndef SOCKS64_GATEWAYD_UDP_BATCH_HPP
#define SOCKS64_GATEWAYD_UDP_BATCH_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <sys/socket.h>

#include "socks64/address.hpp"
#include "socks64/wire.hpp"

#include "datagram/udp_runs.hpp"

namespace socks64::gateway {

struct ReceivedDatagram {
  Endpoint from;  ///< never IPv4-mapped
  Bytes octets;
};

/// What one call received.
class ReceivedBatch {
 public:
  /// What recvmmsg(2) takes for one. A socket with UDP_GRO puts several datagrams into a message,
  /// if they came in a row from one sender.
  static constexpr std::size_t most_messages = 32;

  ReceivedBatch();
  ReceivedBatch(const ReceivedBatch&) = delete;
  ReceivedBatch& operator=(const ReceivedBatch&) = delete;

  struct Got {
    std::size_t messages = 0;
    std::size_t datagrams = 0;
    std::size_t octets = 0;
  };
  /// Up to so many messages, without waiting, in the place of those of the last call. None: there
  /// are none, or the socket has an error, which the call has cleared.
  [[nodiscard]] Got receive(int socket, std::size_t messages = most_messages) noexcept;

  /// The next datagram of that call, in the order in which they came; null after the last. Valid
  /// until the next call of either.
  [[nodiscard]] const ReceivedDatagram* next() noexcept;

 private:
  // No datagram is longer than 65,535 octets, so none is cut. Each one's place begins in another
  // line of the cache: short ones would be in each other's way.
  static constexpr std::size_t room = 65'536;
  static constexpr std::size_t stride = room + 64;
  using Control = std::array<std::uint8_t, CMSG_SPACE(sizeof(int))>;

  void begin_message(std::size_t index) noexcept;

  std::unique_ptr<std::uint8_t[]> memory_;
  std::array<sockaddr_storage, most_messages> names_{};
  std::array<iovec, most_messages> pieces_{};
  alignas(cmsghdr) std::array<Control, most_messages> controls_{};
  std::array<mmsghdr, most_messages> messages_{};
  std::size_t got_ = 0;

  std::size_t message_ = 0;  ///< that the next datagram is in
  Bytes rest_;               ///< of that message
  std::size_t segment_ =
      0;  ///< the size of its datagrams but the last; 0: the message has not begun
  ReceivedDatagram datagram_;
};

/// What the associations of one worker share. Its memory is taken when the first of them begins.
struct UdpPool {
  struct Batches {
    ReceivedBatch received;
    SendBatch to_client;
    SendBatch to_ipv4;
    SendBatch to_ipv6;

    /// Of what is still to be sent.
    void clear() noexcept {
      to_client.clear();
      to_ipv4.clear();
      to_ipv6.clear();
    }
  };
  [[nodiscard]] Batches& batches() {
    if (!batches_) {
      batches_ = std::make_unique<Batches>();
    }
    return *batches_;
  }

  std::size_t waiting_octets = 0;  ///< held until names are resolved, by all associations together

 private:
  std::unique_ptr<Batches> batches_;
};

}  // namespace socks64::gateway

#endif
