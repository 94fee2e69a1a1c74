// Datagrams that leave, in as few system calls as there may be.
//
// Most of what a datagram costs is its way down through the kernel's layers, and it is the same way
// for the next one. So datagrams to one destination that are of one size, but for the last, which
// may be shorter, make a run: it goes down as one packet, and the kernel cuts it up where it is
// cheapest to (UDP_SEGMENT, udp(7); the network card, if it can; the receiving socket, if it is on
// this host and asked for UDP_GRO; or software right above the driver). On the wire a run is what
// its datagrams would have been one by one. docs/decisions/0007-udp-batches.md has the figures.
//
// Where the kernel takes no run - it is older than 4.18, a datagram is larger than the path's MTU
// and has to be fragmented, IPsec is in the way - the datagrams go one by one, as if runs did not
// exist, and nothing is lost. Datagrams to one destination stay in order in any case; those to
// different ones may pass each other within a batch.
#ifndef SOCKS64_GATEWAYD_UDP_RUNS_HPP
#define SOCKS64_GATEWAYD_UDP_RUNS_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <sys/socket.h>

#include "socks64/address.hpp"
#include "socks64/wire.hpp"

#include "account/udp_counts.hpp"
#include "datagram/udp_datagram.hpp"

namespace socks64::gateway {

/// Whether a socket takes runs: what the kernel says, and what it then turns out to mean.
class Segmentation {
 public:
  /// Takes none.
  Segmentation() noexcept = default;
  /// Asks the kernel. It has to be asked: before 4.18 it would take a run for one large datagram.
  [[nodiscard]] static Segmentation of(int socket) noexcept;

  /// Whether runs of datagrams of so many octets are worth a try.
  [[nodiscard]] bool takes(std::size_t segment) const noexcept { return segment <= largest_; }
  /// Sending such a run failed with `error`. Remembered if it would fail the next time, too.
  void refused(int error, std::size_t segment) noexcept;

 private:
  std::size_t largest_ = 0;
};

/// What waits to be sent from one socket. Points to the payloads, and holds none of them.
// Of its memory, 100 KiB and more, nothing is read that was not written.
// NOLINTBEGIN(cppcoreguidelines-pro-type-member-init)
class SendBatch {
 public:
  static constexpr std::size_t capacity = 256;
  /// Of one run: what every kernel takes that takes any.
  static constexpr std::size_t most_segments = 64;

  SendBatch() = default;
  SendBatch(const SendBatch&) = delete;
  SendBatch& operator=(const SendBatch&) = delete;

  void clear() noexcept { size_ = runs_size_ = fronts_ = 0; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] bool full() const noexcept { return size_ == capacity; }

  /// A datagram of `front`, at most max_reply_header octets, which are copied and do not count as
  /// payload, and `payload`, which stays where it is until the flush. Expects that it is not full.
  void add(const Endpoint& to, Bytes front, Bytes payload) noexcept;

  struct Sent {
    std::uint64_t datagrams = 0;
    std::uint64_t octets = 0;  ///< of payload
  };
  /// Sends all of it without waiting, and is empty then. What the kernel does not take is dropped:
  /// a datagram that is late is worth no more than one that is lost.
  [[nodiscard]] Sent flush(int socket, Segmentation& segmentation, UdpCounts& counts) noexcept;

 private:
  using Index = std::uint16_t;

  struct Datagram {
    const std::uint8_t* front;
    const std::uint8_t* payload;
    std::uint32_t front_size;
    std::uint32_t payload_size;
    Index next;  ///< of its run
  };
  struct Run {
    Endpoint to;
    std::size_t segment;  ///< the size of every datagram but the last
    std::size_t octets;   ///< of all
    Index first;
    Index last;
    Index count;
    bool open;    ///< nothing shorter than `segment` is in it yet
    bool singly;  ///< it was refused as a whole
    socklen_t name_size;
    sockaddr_storage name;
    alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(sizeof(std::uint16_t))> control;
  };
  /// Of one message of sendmmsg(2).
  struct Parcel {
    Index run;
    Index datagrams;
    std::uint32_t octets;  ///< of payload
  };

  [[nodiscard]] Run* run_for(const Endpoint& to, std::size_t size) noexcept;
  void lay_out(std::size_t run, const Segmentation& segmentation) noexcept;
  void put_datagram(const Datagram& datagram) noexcept;
  void begin_message(std::size_t run) noexcept;

  std::size_t size_ = 0;
  std::size_t runs_size_ = 0;
  std::size_t fronts_ = 0;
  std::size_t messages_size_ = 0;
  std::size_t pieces_size_ = 0;
  std::array<Datagram, capacity> datagrams_;
  std::array<Run, capacity> runs_;
  std::array<std::array<std::uint8_t, max_reply_header>, capacity> front_memory_;
  std::array<Parcel, capacity> parcels_;
  std::array<mmsghdr, capacity> messages_;
  std::array<iovec, 2 * capacity> pieces_;
};
// NOLINTEND(cppcoreguidelines-pro-type-member-init)

}  // namespace socks64::gateway

#endif
