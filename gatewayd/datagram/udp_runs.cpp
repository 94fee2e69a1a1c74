#include "datagram/udp_runs.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <netinet/udp.h>

#include "socks64/sockaddr.hpp"

// Of linux/udp.h, which cannot stand beside netinet/udp.h; musl and old C libraries have it not.
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

namespace socks64::gateway {
namespace {

/// A run's octets fit one datagram of either family, whatever it is cut into.
constexpr std::size_t most_octets = max_udp_over_ipv4;
/// How far back a datagram looks for its run. Behind that it begins another, which is only dearer.
constexpr std::size_t far_back = 16;

UdpDrop cause_of(int error) noexcept {
  switch (error) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
      return UdpDrop::congested;
    case EMSGSIZE:
      return UdpDrop::oversized;
    case EACCES:  // a broadcast address, which needs a socket option that is never set
      return UdpDrop::destination;
    default:
      return UdpDrop::unreachable;
  }
}

}  // namespace

Segmentation Segmentation::of(int socket) noexcept {
  Segmentation segmentation;
  // Read and not set: gVisor takes every option of this level for set, and knows none.
  int none = 0;
  socklen_t size = sizeof none;
  if (::getsockopt(socket, IPPROTO_UDP, UDP_SEGMENT, &none, &size) == 0) {
    segmentation.largest_ = most_octets;
  }
  return segmentation;
}

void Segmentation::refused(int error, std::size_t segment) noexcept {
  switch (error) {
    case EMSGSIZE:  // larger than the MTU,
    case EINVAL:    // which older kernels say like this
      largest_ = std::min(largest_, segment - 1);
      break;
    case EIO:  // IPsec; in older kernels, no checksums by the network card
    case ENOPROTOOPT:
    case EOPNOTSUPP:
      largest_ = 0;
      break;
    default:  // a full buffer, no route, a firewall: not because it is a run
      break;
  }
}

/// The run of the last datagram that went there, if another of `size` octets can follow. Order is
/// why it has to be the last one.
SendBatch::Run* SendBatch::run_for(const Endpoint& to, std::size_t size) noexcept {
  const std::size_t end = runs_size_ > far_back ? runs_size_ - far_back : 0;
  for (std::size_t i = runs_size_; i > end; --i) {
    Run& run = runs_[i - 1];
    if (run.to != to) {
      continue;
    }
    // An empty datagram would vanish in a run.
    const bool fits = run.open && size > 0 && size <= run.segment && run.count < most_segments &&
                      run.octets + size <= most_octets;
    return fits ? &run : nullptr;
  }
  return nullptr;
}

void SendBatch::add(const Endpoint& to, Bytes front, Bytes payload) noexcept {
  const auto index = static_cast<Index>(size_);
  Datagram& datagram = datagrams_[size_];
  datagram.payload = payload.data();
  datagram.payload_size = static_cast<std::uint32_t>(payload.size());
  datagram.front_size = static_cast<std::uint32_t>(front.size());
  // Replies come in rows from one sender, and share what stands in front of them.
  if (size_ > 0 && datagrams_[size_ - 1].front_size == front.size() &&
      std::equal(front.begin(), front.end(), datagrams_[size_ - 1].front)) {
    datagram.front = datagrams_[size_ - 1].front;
  } else {
    std::uint8_t* const room = front_memory_[fronts_++].data();
    std::copy(front.begin(), front.end(), room);
    datagram.front = room;
  }
  ++size_;

  const std::size_t size = front.size() + payload.size();
  if (Run* const run = run_for(to, size)) {
    datagrams_[run->last].next = index;
    run->last = index;
    ++run->count;
    run->octets += size;
    run->open = size == run->segment;
    return;
  }
  Run& run = runs_[runs_size_++];
  run.to = to;
  run.segment = run.octets = size;
  run.first = run.last = index;
  run.count = 1;
  run.open = true;
  run.singly = false;
  run.name_size = to_sockaddr(to, run.name);
}

void SendBatch::begin_message(std::size_t index) noexcept {
  Run& run = runs_[index];
  parcels_[messages_size_] = {static_cast<Index>(index), 0, 0};
  msghdr& header = messages_[messages_size_++].msg_hdr;
  header.msg_name = &run.name;
  header.msg_namelen = run.name_size;
  header.msg_iov = &pieces_[pieces_size_];
  header.msg_iovlen = 0;
  header.msg_control = nullptr;
  header.msg_controllen = 0;
  header.msg_flags = 0;
}

void SendBatch::put_datagram(const Datagram& datagram) noexcept {
  msghdr& header = messages_[messages_size_ - 1].msg_hdr;
  Parcel& parcel = parcels_[messages_size_ - 1];
  if (datagram.front_size != 0) {
    pieces_[pieces_size_++] = {const_cast<std::uint8_t*>(datagram.front), datagram.front_size};
    ++header.msg_iovlen;
  }
  pieces_[pieces_size_++] = {const_cast<std::uint8_t*>(datagram.payload), datagram.payload_size};
  ++header.msg_iovlen;
  ++parcel.datagrams;
  parcel.octets += datagram.payload_size;
}

/// Makes messages of the runs from this one on.
void SendBatch::lay_out(std::size_t run_index, const Segmentation& segmentation) noexcept {
  messages_size_ = pieces_size_ = 0;
  for (; run_index < runs_size_; ++run_index) {
    Run& run = runs_[run_index];
    const bool whole = run.count > 1 && !run.singly && segmentation.takes(run.segment);
    Index index = run.first;
    for (Index i = 0; i < run.count; ++i) {
      if (i == 0 || !whole) {
        begin_message(run_index);
      }
      put_datagram(datagrams_[index]);
      index = datagrams_[index].next;
    }
    if (!whole) {
      continue;
    }
    msghdr& header = messages_[messages_size_ - 1].msg_hdr;
    run.control.fill(0);
    header.msg_control = run.control.data();
    header.msg_controllen = run.control.size();
    cmsghdr* const control = CMSG_FIRSTHDR(&header);
    control->cmsg_level = IPPROTO_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
    const auto segment = static_cast<std::uint16_t>(run.segment);
    std::memcpy(CMSG_DATA(control), &segment, sizeof segment);
  }
}

SendBatch::Sent SendBatch::flush(int socket, Segmentation& segmentation,
                                 UdpCounts& counts) noexcept {
  Sent sent;
  lay_out(0, segmentation);
  std::size_t next = 0;
  while (next < messages_size_) {
    const int taken =
        ::sendmmsg(socket, &messages_[next], static_cast<unsigned>(messages_size_ - next),
                   MSG_DONTWAIT | MSG_NOSIGNAL);
    if (taken > 0) {
      for (const std::size_t end = next + static_cast<std::size_t>(taken); next < end; ++next) {
        sent.datagrams += parcels_[next].datagrams;
        sent.octets += parcels_[next].octets;
      }
      continue;
    }
    const int error = errno;
    const Parcel& parcel = parcels_[next];
    if (error == EINTR) {
      continue;
    }
    if (error == EAGAIN) {
      for (; next < messages_size_; ++next) {
        counts.drop(UdpDrop::congested, parcels_[next].datagrams);
      }
    } else if (parcel.datagrams > 1) {
      // Each of them may do by itself.
      segmentation.refused(error, runs_[parcel.run].segment);
      runs_[parcel.run].singly = true;
      lay_out(parcel.run, segmentation);
      next = 0;
    } else {
      // The call stops at the first datagram that fails; those behind it are no worse for that.
      counts.drop(cause_of(error));
      ++next;
    }
  }
  clear();
  return sent;
}

}  // namespace socks64::gateway
