// Where a relay's two directions meet: its state. junction.cpp moves the octets, relay_life.cpp
// knows the relay's beginning, time and end, and relay_kernel.cpp knows what the kernel carries by
// itself.
#ifndef SOCKS64_GATEWAYD_JUNCTION_HPP
#define SOCKS64_GATEWAYD_JUNCTION_HPP

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "loop/wait_slot.hpp"
#include "relay/relay.hpp"
#include "relay/relay_clock.hpp"
#include "relay/relay_flow.hpp"
#include "relay/relay_pool.hpp"
#include "relay/sockmap.hpp"

namespace socks64::gateway {

struct Side {
  explicit Side(Socket from) : socket(std::move(from)), fd(socket.native_handle()) {}

  Socket socket;
  int fd;
  WaitSlot readable;
  WaitSlot writable;
  WaitSlot trouble;
  bool closed_both_ways = false;  ///< EPOLLHUP without an error: nothing more to watch for
};

struct Direction {
  Direction(Side& source, Side& drain, const FlowTuning& tuning,
            std::span<const std::uint8_t> early, Bandwidth* limit)
      : from(source), to(drain), flow(tuning, early.size()), rest(early), bandwidth(limit) {}

  Side& from;
  Side& to;
  RelayFlow flow;
  std::span<const std::uint8_t> rest;  ///< what memory holds of flow.held()
  RelayPool::Block block;              ///< ... when it is memory of its own
  Pipe pipe;
  Bandwidth* bandwidth;             ///< null: unlimited, and nothing below has a meaning
  Bandwidth::Reservation reserved;  ///< for the next read; no octets: none yet
  bool paused = false;              ///< until the reservation's time has come
};

/// `later`: what the kernel has of it is not where it has to be yet.
enum class Turn : std::uint8_t { over, later, source_failed, sink_failed, no_memory };

/// What a relay has to mind whose messages the kernel may carry.
struct KernelPart {
  explicit KernelPart(std::size_t early_octets) : early(early_octets) {}

  std::unique_ptr<KernelRelay> relay;  ///< once it has joined the map
  std::size_t early;
  unsigned small_turns = 0;
  unsigned joins = 0;     ///< tried in vain
  bool refused = false;   ///< by the kernel, for good
  Side* dying = nullptr;  ///< dead, and what it sent is on its way through the kernel
  unsigned asked_for_dead = 0;
  std::optional<Clock::time_point> ask_at;  ///< again
};

/// What waits, and the clock, hold it.
class Junction final : public WaitOwner, public Relay, public Timed {
 public:
  Junction(RelayOrder order, RelayPool& pool, std::unique_ptr<RelayOwner> owner)
      : client_(std::move(order.client)),
        destination_(std::move(order.destination)),
        early_(std::move(order.early)),
        up_(client_, destination_, pool.tuning(), early_, order.bandwidth.up),
        down_(destination_, client_, pool.tuning(), {}, order.bandwidth.down),
        limits_(order.limits),
        client_is_unix_(order.client_is_unix),
        pool_(pool),
        clock_(RelayClock::of(context())),
        owner_(std::move(owner)) {
    const bool limited = order.bandwidth.up != nullptr || order.bandwidth.down != nullptr;
    if (pool.sockmap() != nullptr && !limited) {
      kernel_ = std::make_unique<KernelPart>(early_.size());
    }
    clock_.add(*this);
    acquire();  // the clock's
  }

  void start() noexcept override;
  void cancel() noexcept override { end(RelayEnd::cancelled); }
  void woken(WaitSlot& slot, const asio::error_code& error) noexcept override;
  void look_at_clock(Clock::time_point now) noexcept override;
  void forgotten() noexcept override { release(); }

 private:
  void run(Direction& direction) noexcept;
  Turn turn(Direction& direction) noexcept;
  Turn read_once(Direction& direction) noexcept;
  Turn write_once(Direction& direction) noexcept;
  bool may_read(Direction& direction) noexcept;
  [[nodiscard]] std::size_t allowed(const Direction& direction, std::size_t room) const noexcept;
  void settle(Direction& direction, std::size_t octets) noexcept;
  bool keep_rest(Direction& direction) noexcept;
  void give_back(Direction& direction) noexcept;
  void wait_for_more(Direction& direction);
  [[nodiscard]] bool short_is_all(const Direction& direction) const noexcept {
    // In the kernel's map a socket has a second queue.
    return in_kernel() == nullptr && !(client_is_unix_ && &direction == &up_);
  }
  void watch_for_trouble(Side& side);
  void look_for_trouble(Side& side) noexcept;
  void passed_on_reset(Side& side) noexcept;
  void end(RelayEnd why) noexcept;
  void set_alarm() noexcept;
  [[nodiscard]] asio::io_context& context() const noexcept {
    return client_.socket.get_executor().context();
  }
  [[nodiscard]] bool half_closed() const noexcept {
    return up_.flow.source_ended() || down_.flow.source_ended();
  }
  [[nodiscard]] std::chrono::seconds limit() const noexcept;
  [[nodiscard]] const RelayFlow& other(const Direction& direction) const noexcept {
    return (&direction == &up_ ? down_ : up_).flow;
  }

  // The kernel's part. Without one delivered() and exhausted() are true.
  [[nodiscard]] KernelRelay* in_kernel() const noexcept {
    return kernel_ ? kernel_->relay.get() : nullptr;
  }
  [[nodiscard]] std::size_t way(const Direction& direction) const noexcept {
    return &direction == &up_ ? 0 : 1;
  }
  [[nodiscard]] std::array<OwnOctets, 2> own_octets() const noexcept;
  [[nodiscard]] bool delivered(const Direction& direction) const noexcept;
  [[nodiscard]] bool exhausted(const Direction& direction) const noexcept;
  void ask_again() noexcept;
  void ask_now() noexcept;
  void revoke_lease() noexcept;
  void lease_to_kernel() noexcept;
  [[nodiscard]] bool last_octets_on_their_way(Side& side, const Direction& last) noexcept;

  std::unique_ptr<KernelPart> kernel_;  ///< null: it carries nothing; goes behind the sockets
  Side client_;
  Side destination_;
  std::vector<std::uint8_t> early_;
  Direction up_;
  Direction down_;
  RelayLimits limits_;
  const bool client_is_unix_;
  RelayPool& pool_;
  RelayClock& clock_;
  std::unique_ptr<RelayOwner> owner_;
  std::unique_ptr<Timer> alarm_;  ///< for what cannot wait for the clock
  const Clock::time_point began_ = Clock::now();
  Clock::time_point last_octet_ = began_;
  bool over_ = false;
  bool keeps_alive_ = false;
  bool last_words_ = false;  ///< one side is dead: nothing is read from the other any more
};

/// Keeps a junction while it may end.
class Hold {
 public:
  explicit Hold(Junction& junction) noexcept : junction_(&junction) { junction_->acquire(); }
  Hold(Hold&& other) noexcept : junction_(std::exchange(other.junction_, nullptr)) {}
  Hold& operator=(Hold&&) = delete;
  ~Hold() {
    if (junction_ != nullptr) {
      junction_->release();
    }
  }

 private:
  Junction* junction_;
};

}  // namespace socks64::gateway

#endif
