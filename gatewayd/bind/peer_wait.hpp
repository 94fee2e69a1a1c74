// Stage 7 of BIND: between the first reply and the second, three things are waited for at once: the
// right peer, a client that gives up, and the end of our patience.
//
// What the client sends meanwhile is kept for the peer (RFC 1928 section 6 lets it send data once
// the second reply is there, and some do not wait). It has to be read, because behind unread octets
// no EOF can be seen, and an EOF means that the client has given up: with it the port is free. Once
// the buffer is full, nothing more is read, the client's window closes by itself, and poll(2) looks
// for its end every now and then.
#ifndef SOCKS64_GATEWAYD_PEER_WAIT_HPP
#define SOCKS64_GATEWAYD_PEER_WAIT_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "socks64/address.hpp"

#include "bind/bind.hpp"
#include "dial/dial.hpp"
#include "loop/net.hpp"

namespace socks64::gateway {

struct PeerArrival {
  enum class End : std::uint8_t {
    peer,  ///< `socket` is set
    timed_out,
    client_ended,  ///< EOF from the client
    client_reset,
    cancelled,
    no_resources,
  };

  End end = End::no_resources;
  std::optional<Socket> socket;  ///< the peer's: connected, non-blocking, TCP_NODELAY
  Endpoint remote;               ///< the peer
  unsigned connections = 0;      ///< that came in, the right one included
  std::chrono::microseconds time{0};
};

/// So much of what the client sends early is kept, what came with its request included.
inline constexpr std::size_t most_early_octets = std::size_t{16} << 10U;

/// Whoever connects and is not the one that `is_right` says yes to is reset at once. The listening
/// socket is closed when the wait is over, whatever its end; nothing is under way on the client's
/// socket then. A session holds 3 descriptors for the moment of an accept, else 2.
///
/// Takes rendezvous.socket. The references must live until the coroutine ends.
[[nodiscard]] Task<PeerArrival> wait_for_peer(Socket& client, std::vector<std::uint8_t>& early,
                                              Rendezvous& rendezvous, const AddressFilter& is_right,
                                              std::chrono::milliseconds timeout);

}  // namespace socks64::gateway

#endif
