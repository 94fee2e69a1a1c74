// What a wait needs to know of a pending handshake.
#ifndef SOCKS64_SHIM_PROGRESS_HPP
#define SOCKS64_SHIM_PROGRESS_HPP

#include <cstdint>

#include "descriptors/gateway_walk.hpp"
#include "host/host_guard.hpp"

namespace socks64::shim {

/// How far a descriptor's handshake is.
struct Progress {
  enum class State : std::uint8_t {
    none,         ///< no handshake, or the program knows its failure: the kernel has the truth
    pending,      ///< wait for `events`, at most until `deadline`, and drive again
    established,  ///< the destination is reached
    failed,       ///< take_error() has the reason
  };
  State state = State::none;
  short events = 0;  ///< POLLIN or POLLOUT; 0: nothing of the socket's, the deadline alone
  Nanoseconds deadline = never;
  bool unresolved = false;  ///< between drive() and its lock: `candidate` has a name to resolve
  Candidate candidate{};
};

/// What who drives knows already, so that the kernel is not asked once more.
struct Seen {
  bool no_error = false;  ///< the kernel has just shown the socket's state, and no error
  /// Octets that arrive from now on wake the caller, or keep it from waiting: no read is tried
  /// right behind a write, when the gateway can hardly have answered.
  bool input_wakes = false;
};

/// What advances the handshake of a descriptor: drive() of gateway/gateway_link.hpp, handed to what
/// lies below it.
using Drive = Progress (*)(int fd, Seen seen) noexcept;

}  // namespace socks64::shim

#endif
