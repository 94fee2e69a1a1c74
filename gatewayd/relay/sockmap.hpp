// The relay that the kernel does itself: a BPF program at the two sockets of a relay moves small
// messages from one to the other as they arrive, and the worker sleeps on. Asked for by
// relay.engine = "sockmap"; docs/decisions/0008-kernel-relay.md has the figures.
//
// A sockmap by itself keeps none of a relay's promises. What goes wrong, and what is done about it:
//
//   - What a stalled sink does not take queues up without any bound, because the source's window
//     opens as soon as its octets are redirected. So the kernel gets a *lease*: so many messages
//     and octets, each way. The message that exceeds it goes to the worker instead, as all that
//     follow, and the source's window closes as behind any reader. A lease fits into the sink's
//     send buffer, so what is redirected never waits in front of what the other way passes.
//   - Who writes to the sink while redirected octets are on their way overtakes them. So the worker
//     writes, and shuts down, only when the sink has been given all that was redirected:
//     delivered().
//   - A new lease while octets are still to be read by the worker would let newer ones overtake
//     those. So it begins only when every octet that TCP has received is accounted for, by a
//     compare-and-swap on a word in which the program counts what it passes to the worker: lease().
//   - recv(2) says 0 when FIN has arrived and octets still wait in the kernel's queues. So EOF is
//     believed only when all of TCP's octets have been seen: exhausted().
//   - Both ways end together. Redirected octets share a queue with what the same socket passes to
//     the worker, and either could hold up the other: revoke() at the first sign of anything.
//   - A socket that leaves the map loses what the map has for it. So a relay never leaves: one that
//     turns bulky is copied from then on (and not spliced: splice(2) does not know those queues).
//   - A FIN without octets must not enter those queues: the kernel takes it for a failed send.
#ifndef SOCKS64_GATEWAYD_SOCKMAP_HPP
#define SOCKS64_GATEWAYD_SOCKMAP_HPP

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/descriptor.hpp"

namespace socks64::gateway {

class Sockmap;

/// What a relay has done by itself, in octets since it began.
struct OwnOctets {
  std::uint64_t read = 0;     ///< taken from the source by recv(2)
  std::uint64_t written = 0;  ///< given to the sink by send(2)
};

/// A relay in the map. Its sockets have to stay open as long as it is used, and are to be closed
/// before it is destroyed. Index 0 of each array is the way from the first socket to the second.
class KernelRelay {
 public:
  KernelRelay(const KernelRelay&) = delete;
  KernelRelay& operator=(const KernelRelay&) = delete;
  ~KernelRelay();

  /// Whether what arrives that way is redirected at this moment.
  [[nodiscard]] bool leased(std::size_t way) const noexcept;
  /// From now on everything goes to the worker, and redirected() stays what it is.
  void revoke() noexcept;
  /// Begins a new lease if nothing at all is on its way; false: not now.
  bool lease(const std::array<OwnOctets, 2>& own) noexcept;
  /// Whether the sink has all that was redirected to it, and all that was written.
  [[nodiscard]] bool delivered(std::size_t way, std::uint64_t written) const noexcept;
  /// Whether all that has arrived so far is with the sink, or the worker has it.
  [[nodiscard]] bool accounted(std::size_t way, const OwnOctets& own) const noexcept;
  /// Whether the worker has seen everything that the source sent, FIN included.
  [[nodiscard]] bool exhausted(std::size_t way, std::uint64_t read) const noexcept;

  [[nodiscard]] std::uint64_t redirected(std::size_t way) const noexcept;
  /// When an octet was redirected last, either way.
  [[nodiscard]] std::chrono::steady_clock::time_point last() const noexcept;

 private:
  friend class Sockmap;
  KernelRelay(std::shared_ptr<Sockmap> map, std::size_t slot) noexcept;

  std::shared_ptr<Sockmap> map_;
  std::size_t slot_;            ///< of the first socket; the second has the next one
  std::array<int, 2> sources_;  ///< by way
  std::array<std::uint64_t, 2> cookies_{};
  std::array<std::uint64_t, 2> consumed_{};  ///< when the relay began, by TCP's count
  std::array<std::uint64_t, 2> given_{};     ///< to the sink, likewise
  bool whole_ = false;                       ///< both sockets are in the map
};

/// Maps and program of one worker. Nothing of it is pinned: it is gone with the process.
class Sockmap : public std::enable_shared_from_this<Sockmap> {
 public:
  /// What the program and a relay share; of one source.
  struct Entry {
    std::atomic<std::uint64_t> word;  ///< a lease, or how much was passed since the last one
    std::atomic<std::uint64_t> redirected;
    std::atomic<std::uint64_t> last;  ///< CLOCK_MONOTONIC, nanoseconds
    std::uint64_t unused;
  };

  /// Nothing where the kernel, our capabilities or the build do not allow it: `problem` says what.
  [[nodiscard]] static std::shared_ptr<Sockmap> open(std::string& problem);
  Sockmap(const Sockmap&) = delete;
  Sockmap& operator=(const Sockmap&) = delete;
  ~Sockmap();

  /// For two TCP sockets that have nothing unread: nothing if they are not, or not now.
  [[nodiscard]] std::unique_ptr<KernelRelay> join(int first, int second,
                                                  const std::array<OwnOctets, 2>& own);

 private:
  friend class KernelRelay;
  Sockmap() = default;
  bool enter(KernelRelay& relay);

  Descriptor sockets_;  ///< slot -> socket
  Descriptor slots_;    ///< the source's cookie -> its slot
  Descriptor entries_;  ///< slot -> Entry
  Descriptor program_;
  std::span<Entry> entry_;
  std::vector<std::size_t> free_;
};

}  // namespace socks64::gateway

#endif
