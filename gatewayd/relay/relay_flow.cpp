#include "relay/relay_flow.hpp"

namespace socks64::gateway {

RelayFlow::RelayFlow(const FlowTuning& tuning, std::size_t early) noexcept
    : tuning_(&tuning),
      held_(early),
      splicing_(tuning.path == RelayPath::splice),
      adapts_(tuning.path == RelayPath::adaptive) {}

RelayFlow::Step RelayFlow::next() const noexcept {
  if (held_ > 0) {
    if (full_) {
      return place_ == Place::shared_buffer ? Step::keep : Step::await_writable;
    }
    return place_ == Place::pipe ? Step::drain : Step::send;
  }
  if (ended_) {
    return shut_ ? Step::finished : Step::shut_down;
  }
  const bool spent =
      turn_octets_ >= tuning_->octets_per_turn || turn_reads_ >= tuning_->reads_per_turn;
  if (dry_ || spent) {
    return Step::await_readable;
  }
  return splicing() ? Step::fill : Step::receive;
}

void RelayFlow::begin_turn() noexcept {
  turn_octets_ = 0;
  turn_reads_ = 0;
  dry_ = false;
  full_ = false;
}

void RelayFlow::took(std::size_t octets, Place place) noexcept {
  held_ = octets;
  place_ = place;
  turn_octets_ += octets;
  ++turn_reads_;
}

void RelayFlow::received(std::size_t octets, std::size_t room) noexcept {
  took(octets, Place::shared_buffer);
  doubt_ = false;
  // A short read emptied the socket; asking again would only cost a call that says EAGAIN. What
  // arrives from now on is an edge.
  dry_ = drained_ = octets < room;
  if (splicing_ || !adapts_) {
    return;
  }
  streak_ = octets >= tuning_->large_read ? streak_ + 1 : 0;
  if (streak_ >= tuning_->large_reads_to_splice) {
    splicing_ = true;
    streak_ = 0;
  }
}

void RelayFlow::filled(std::size_t octets) noexcept {
  // A short fill may as well be a pipe out of slots as a socket out of data, so it does not say
  // dry; a small one does.
  took(octets, Place::pipe);
  const bool small = octets < tuning_->small_fill;
  drained_ = false;
  if (small) {
    dry_ = true;
  }
  if (!adapts_) {
    return;
  }
  streak_ = small ? streak_ + 1 : 0;
  if (streak_ >= tuning_->small_fills_to_copy) {
    splicing_ = false;
    streak_ = 0;
  }
}

void RelayFlow::nothing_to_read() noexcept {
  // The first splice(2) of a turn, on a socket that was said to be readable, finds nothing: it
  // stops at TCP urgent data (RFC 9293 section 3.8.5), which recv(2) passes over when SO_OOBINLINE
  // is set. Without this the direction would wake up and find nothing for ever.
  if (splicing() && turn_reads_ == 0) {
    doubt_ = true;
    return;
  }
  doubt_ = false;
  dry_ = drained_ = true;
}

void RelayFlow::end_of_stream() noexcept {
  // In front of urgent data that is followed by FIN, splice(2) returns 0 as well: only recv(2)
  // knows the end of the stream.
  if (splicing()) {
    doubt_ = true;
    return;
  }
  ended_ = true;
}

void RelayFlow::no_pipe() noexcept {
  streak_ = 0;
  if (adapts_) {
    splicing_ = false;
  } else {
    doubt_ = true;
  }
}

void RelayFlow::no_splice() noexcept {
  adapts_ = false;
  splicing_ = false;
}

void RelayFlow::wrote(std::size_t octets) noexcept {
  held_ -= octets;
  written_ += octets;
  if (held_ > 0) {
    full_ = true;
  }
}

void RelayFlow::sink_full() noexcept {
  full_ = true;
}

void RelayFlow::kept() noexcept {
  place_ = Place::own_memory;
}

void RelayFlow::shut() noexcept {
  shut_ = true;
}

}  // namespace socks64::gateway
