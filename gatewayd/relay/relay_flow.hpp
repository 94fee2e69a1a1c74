// One direction of a relay as a state machine without I/O: what to do next, and what became of it.
//
// A direction holds octets in at most one place at a time, and reads again only when that place is
// empty. That is the whole of back-pressure: a destination that stops reading leaves one bounded
// buffer held here, the reads stop, the sender's TCP window closes, and the sender waits.
//
// The driver (junction.cpp) loops: `switch (flow.next())`, makes that one system call, tells the
// result. When next() says await_*, the turn is over until the socket is ready.
#ifndef SOCKS64_GATEWAYD_RELAY_FLOW_HPP
#define SOCKS64_GATEWAYD_RELAY_FLOW_HPP

#include <cstddef>
#include <cstdint>

#include "settings/relay_config.hpp"

namespace socks64::gateway {

/// The figures come from tests/bench; docs/decisions/0002-relay-splice-or-copy.md has them.
struct FlowTuning {
  RelayPath path = RelayPath::adaptive;
  std::size_t large_read = std::size_t{64} << 10;        ///< a read that speaks for splice(2)
  unsigned large_reads_to_splice = 3;                    ///< so many in a row switch to it
  std::size_t small_fill = std::size_t{16} << 10;        ///< a fill that speaks against it
  unsigned small_fills_to_copy = 4;                      ///< so many in a row switch back
  std::size_t octets_per_turn = std::size_t{512} << 10;  ///< then the worker's neighbours go first
  unsigned reads_per_turn = 16;
};

class RelayFlow {
 public:
  enum class Step : std::uint8_t {
    receive,         ///< recv(2) from the source into the worker's shared buffer
    fill,            ///< splice(2) from the source into a pipe
    send,            ///< send(2) what memory holds
    drain,           ///< splice(2) from the pipe to the sink
    keep,            ///< the sink is full: move the rest out of the shared buffer
    shut_down,       ///< all is written and the source said EOF: shutdown(SHUT_WR) on the sink
    await_readable,  ///< until the source has more
    await_writable,  ///< until the sink takes more
    finished,        ///< EOF has been passed on
  };

  /// `early` octets are held by the caller's memory from the start. `tuning` outlives the flow.
  explicit RelayFlow(const FlowTuning& tuning, std::size_t early = 0) noexcept;

  [[nodiscard]] Step next() const noexcept;

  /// The sockets may be ready again, and the turn's budget is new.
  void begin_turn() noexcept;

  // What became of a receive or a fill. `room` is what could have been read.
  void received(std::size_t octets, std::size_t room) noexcept;
  void filled(std::size_t octets) noexcept;
  void nothing_to_read() noexcept;  ///< EAGAIN
  void end_of_stream() noexcept;    ///< recv(2) or splice(2) returned 0
  void no_pipe() noexcept;          ///< none to be had now: copy
  void no_splice() noexcept;        ///< not for this socket: copy for good

  // What became of a send or a drain. Less than all was taken: the sink is full.
  void wrote(std::size_t octets) noexcept;
  void sink_full() noexcept;  ///< EAGAIN
  void kept() noexcept;       ///< the rest is in a buffer of its own
  void shut() noexcept;

  /// Octets that have been read and not yet written.
  [[nodiscard]] std::size_t held() const noexcept { return held_; }
  /// Octets written to the sink.
  [[nodiscard]] std::uint64_t written() const noexcept { return written_; }
  [[nodiscard]] bool source_ended() const noexcept { return ended_; }
  /// The source had nothing left when it was last asked (Socket::wait()).
  [[nodiscard]] bool drained() const noexcept { return drained_; }
  [[nodiscard]] bool splicing() const noexcept { return splicing_ && !doubt_; }

 private:
  enum class Place : std::uint8_t { own_memory, shared_buffer, pipe };

  void took(std::size_t octets, Place place) noexcept;

  const FlowTuning* tuning_;
  std::uint64_t written_ = 0;
  std::size_t held_;
  std::size_t turn_octets_ = 0;
  unsigned turn_reads_ = 0;
  unsigned streak_ = 0;  ///< large reads while copying, small fills while splicing
  Place place_ = Place::own_memory;
  bool splicing_;
  bool adapts_;           ///< between copying and splicing
  bool doubt_ = false;    ///< splice(2) gave nothing: ask recv(2) before believing it
  bool dry_ = false;      ///< nothing more is read in this turn
  bool drained_ = false;  ///< ... because there is nothing
  bool full_ = false;
  bool ended_ = false;
  bool shut_ = false;
};

}  // namespace socks64::gateway

#endif
