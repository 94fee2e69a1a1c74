// Datagrams by the batch: one system call for many, recvmmsg(2) and sendmmsg(2), into and out of
// memory that all associations of a worker share, so that one that is idle holds none.
#ifndef SOCKS64_GATEWAYD_UDP_BATCH_HPP
#define SOCKS64_GATEWAYD_UDP_BATCH_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <sys/socket.h>

#include "socks64/address.hpp"
#include "socks64/wire.hpp"

#include "udp_counts.hpp"
#include "udp_datagram.hpp"

namespace socks64::gateway {

inline constexpr std::size_t udp_batch_size = 32;

/// What one call received.
class ReceivedBatch {
 public:
  ReceivedBatch();

  /// Up to udp_batch_size datagrams in the place of those of the last call, without waiting; how
  /// many. 0: there are none, or the socket has an error, which the call has cleared.
  [[nodiscard]] std::size_t receive(int socket) noexcept;

  /// Never IPv4-mapped.
  [[nodiscard]] Endpoint from(std::size_t index) const noexcept;
  /// In front of it there are max_reply_header octets of room.
  [[nodiscard]] std::span<std::uint8_t> octets(std::size_t index) noexcept;

 private:
  // No datagram is longer than 65,535 octets, so none is cut.
  static constexpr std::size_t room_in_front = 64;
  static constexpr std::size_t stride = room_in_front + 65'536;
  static_assert(room_in_front >= max_reply_header);

  std::unique_ptr<std::uint8_t[]> memory_;
  std::array<sockaddr_storage, udp_batch_size> names_{};
  std::array<iovec, udp_batch_size> pieces_{};
  std::array<mmsghdr, udp_batch_size> messages_{};
};

/// What one call sends. Points to the octets, and holds none.
class SendBatch {
 public:
  SendBatch();

  void clear() noexcept { size_ = 0; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] bool full() const noexcept { return size_ == udp_batch_size; }
  /// `header` octets of the datagram do not count as payload. Expects that it is not full.
  void add(const Endpoint& to, Bytes datagram, std::size_t header = 0) noexcept;

  struct Sent {
    std::uint64_t datagrams = 0;
    std::uint64_t octets = 0;
  };
  /// Sends all of it without waiting, and is empty then. What the kernel does not take is dropped:
  /// a datagram that is late is worth no more than one that is lost.
  [[nodiscard]] Sent flush(int socket, UdpCounts& counts) noexcept;

 private:
  std::size_t size_ = 0;
  std::array<std::size_t, udp_batch_size> headers_{};
  std::array<sockaddr_storage, udp_batch_size> names_{};
  std::array<iovec, udp_batch_size> pieces_{};
  std::array<mmsghdr, udp_batch_size> messages_{};
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
    if (!batches_) batches_ = std::make_unique<Batches>();
    return *batches_;
  }

  std::size_t waiting_octets = 0;  ///< held until names are resolved, by all associations together

 private:
  std::unique_ptr<Batches> batches_;
};

}  // namespace socks64::gateway

#endif
