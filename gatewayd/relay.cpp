// The relay: two directions over two sockets, driven by readiness.
//
// Octets are moved by readiness handlers that make non-blocking system calls as RelayFlow says, one
// turn at a time, so a busy relay shares its worker with the others. Time is kept by the worker's
// clock for all relays (relay_clock.hpp); only a relay that must wait for less has a timer.
//
// What is waited for, per side, is where resets are won or lost:
//   - the side's read, while its outgoing direction could take more: sees octets, EOF and RST;
//   - its write, while the other direction is held up by it: sees room and RST;
//   - trouble (EPOLLERR, EPOLLHUP), while the side is not being read, because its octets are held
//     up at the other side or because it has sent EOF: sees RST alone. Without it, a client that
//     resets behind a stalled destination would be noticed only when the destination moves.
//
// A reset is passed on as a reset: closing with SO_LINGER {1, 0} sends RST (RFC 9293 section
// 3.10.4, ABORT). What the resetting side had sent before is still read from the kernel and written
// as far as the other side takes it at once.
//
// With relay.engine = "sockmap" the kernel carries small messages by itself while it has a lease.
// Whatever wakes us ends the lease, and what came behind it is relayed as ever; sockmap.hpp says
// what has to be minded then, and the functions at the end of Junction do.
#include "relay.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <fcntl.h>
#include <memory>
#include <new>
#include <optional>
#include <poll.h>
#include <sys/socket.h>
#include <utility>

#include "keep_alive.hpp"
#include "relay_clock.hpp"
#include "relay_flow.hpp"
#include "relay_pool.hpp"
#include "sockmap.hpp"
#include "wait_slot.hpp"

namespace socks64::gateway {

namespace {

using Step = RelayFlow::Step;

/// A destination that has vanished is not to hold a session for ever, but most sessions are over
/// long before keep-alive would say anything, and need not pay for its four system calls.
constexpr std::chrono::seconds kKeepAliveAfter{1};

/// A turn of small messages; and how soon, and for a dead side how often, to ask again when
/// redirected octets are still on their way to a sink.
constexpr std::size_t kSmallTurn = 16'384;
constexpr std::chrono::milliseconds kAskAgain{1};
constexpr unsigned kAsksAtOnce = 16;  ///< a few microseconds; as a rule the first will do
constexpr unsigned kJoins = 32;       ///< attempts to join the map, before it is given up
constexpr unsigned kAsksForTheDead = 10;

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

bool would_block(int error) noexcept {
  return error == EAGAIN || error == EWOULDBLOCK;
}

/// Whether a failed splice(2) says something about the connection. What says something about
/// splice itself - a socket without it, a sandbox that forbids it, no memory for it - leaves
/// recv(2) to tell the truth.
bool tells_of_peer(int error) noexcept {
  return error != EINVAL && error != EPERM && error != ENOSYS && error != ENOMEM;
}

template <class Call>
ssize_t retry_interrupted(Call call) noexcept {
  ssize_t result = -1;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

/// Where a relay's two directions meet. What waits, and the clock, hold it.
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
  std::unique_ptr<KernelPart> kernel_;  ///< null: it carries nothing
  std::unique_ptr<Timer> alarm_;        ///< for what cannot wait for the clock
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
    if (junction_ != nullptr) junction_->release();
  }

 private:
  Junction* junction_;
};

void Junction::start() noexcept {
  // An urgent octet is an octet: out of line it would vanish from the stream. Clients' sockets have
  // this from their listener.
  const int on = 1;
  ::setsockopt(destination_.fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
  const Hold hold(*this);
  run(up_);
  // The destination is not watched yet: what it has sent will be the first edge.
  if (!over_ && kernel_) run(down_);  // it has to be at rest before the kernel may have it
  if (!over_) destination_.readable.arm(*this, destination_.socket, Ready::read);
  lease_to_kernel();
}

void Junction::woken(WaitSlot& slot, const asio::error_code& error) noexcept {
  if (over_) return;
  if (error) {
    // Somebody cancelled the socket's operations, or the kernel had no memory for the wait.
    const bool cancelled = error == asio::error::operation_aborted;
    return end(cancelled ? RelayEnd::cancelled : RelayEnd::no_resources);
  }
  if (kernel_ && kernel_->dying != nullptr) return;
  revoke_lease();
  if (&slot == &client_.readable || &slot == &destination_.writable) {
    run(up_);
  } else if (&slot == &destination_.readable || &slot == &client_.writable) {
    run(down_);
  } else {
    look_for_trouble(&slot == &client_.trouble ? client_ : destination_);
  }
  lease_to_kernel();
}

void Junction::run(Direction& direction) noexcept {
  // Before anything is read, because what is read lies in the worker's buffer and has to be written
  // within the turn. With the lease gone nothing is redirected any more, so once is enough.
  switch (delivered(direction) ? turn(direction) : Turn::later) {
    case Turn::over:
      return wait_for_more(direction);
    case Turn::later:
      ask_again();
      return watch_for_trouble(direction.from);
    case Turn::source_failed:
      return passed_on_reset(direction.from);
    case Turn::sink_failed:
      return passed_on_reset(direction.to);
    case Turn::no_memory:
      return end(RelayEnd::no_resources);
  }
}

Turn Junction::turn(Direction& direction) noexcept {
  RelayFlow& flow = direction.flow;
  const std::uint64_t written = flow.written();
  const bool had_ended = flow.source_ended();
  Turn result = Turn::over;
  flow.begin_turn();
  for (bool more = true; more && result == Turn::over;) {
    switch (flow.next()) {
      case Step::receive:
      case Step::fill:
        if (direction.bandwidth == nullptr || may_read(direction)) {
          result = read_once(direction);
        } else {
          more = false;
        }
        break;
      case Step::send:
      case Step::drain:
        result = write_once(direction);
        break;
      case Step::keep:
        if (!keep_rest(direction)) result = Turn::no_memory;
        break;
      case Step::shut_down:
        if (last_words_) {
          more = false;
        } else if (other(direction).next() == Step::finished) {
          flow.shut();  // closing says the same, and is next
        } else if (::shutdown(direction.to.fd, SHUT_WR) == 0) {
          flow.shut();
        } else {
          result = Turn::sink_failed;  // ENOTCONN: reset in the meantime
        }
        break;
      case Step::await_readable:
      case Step::await_writable:
      case Step::finished:
        more = false;
        break;
    }
  }
  if (flow.held() == 0) give_back(direction);
  const bool eof = flow.source_ended() && !had_ended;
  if (kernel_) {
    const bool small = flow.written() - written <= kSmallTurn;
    kernel_->small_turns = small ? kernel_->small_turns + 1 : 0;
  }
  if (flow.written() != written || eof) last_octet_ = Clock::now();
  return result;
}

/// Of a direction with a bandwidth. False: `paused` until the alarm goes off for it. Nothing is
/// waited for meanwhile but trouble, so the source's octets stay with the kernel, and then with the
/// sender.
bool Junction::may_read(Direction& direction) noexcept {
  if (last_words_) return true;
  const Clock::time_point now = Clock::now();
  Bandwidth::Reservation& reserved = direction.reserved;
  if (reserved.octets == 0) {
    reserved = direction.bandwidth->reserve(pool_.pipes().capacity(), now);
  }
  if (reserved.from <= now) {
    direction.paused = false;
    return true;
  }
  if (!direction.paused) {
    direction.paused = true;
    last_octet_ = std::max(last_octet_, reserved.from);
    set_alarm();
  }
  return false;
}

/// How much of `room` the next read may take.
std::size_t Junction::allowed(const Direction& direction, std::size_t room) const noexcept {
  if (direction.bandwidth == nullptr || last_words_) return room;
  return std::min(room, direction.reserved.octets);
}

/// After a read: what it did not use goes back to the others.
void Junction::settle(Direction& direction, std::size_t octets) noexcept {
  const std::size_t reserved = std::exchange(direction.reserved, {}).octets;
  if (octets > reserved) {
    direction.bandwidth->charge(octets - reserved, Clock::now());
  } else {
    direction.bandwidth->give_back(reserved - octets);
  }
}

Turn Junction::read_once(Direction& direction) noexcept {
  RelayFlow& flow = direction.flow;
  const bool fill = flow.next() == Step::fill;
  ssize_t got = -1;
  if (fill) {
    if (!direction.pipe) direction.pipe = pool_.pipes().lend();
    if (!direction.pipe) {
      flow.no_pipe();
      return Turn::over;
    }
    got = retry_interrupted([&] {
      return ::splice(direction.from.fd, nullptr, direction.pipe.write_end(), nullptr,
                      allowed(direction, pool_.pipes().capacity()),
                      SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    });
    if (got > 0) flow.filled(static_cast<std::size_t>(got));
  } else {
    std::span<std::uint8_t> room = pool_.shared_buffer();
    room = room.first(allowed(direction, room.size()));
    got = retry_interrupted(
        [&] { return ::recv(direction.from.fd, room.data(), room.size(), MSG_DONTWAIT); });
    if (got > 0) {
      direction.rest = room.first(static_cast<std::size_t>(got));
      flow.received(static_cast<std::size_t>(got), room.size());
    }
  }
  if (direction.bandwidth != nullptr)
    settle(direction, got > 0 ? static_cast<std::size_t>(got) : 0);
  if (got > 0) return Turn::over;
  if (got == 0) {
    if (!exhausted(direction)) return Turn::later;
    flow.end_of_stream();
  } else if (would_block(errno)) {
    flow.nothing_to_read();
  } else if (fill && !tells_of_peer(errno)) {
    flow.no_splice();
  } else {
    return Turn::source_failed;
  }
  return Turn::over;
}

Turn Junction::write_once(Direction& direction) noexcept {
  RelayFlow& flow = direction.flow;
  const bool drain = flow.next() == Step::drain;
  const ssize_t put = retry_interrupted([&] {
    return drain ? ::splice(direction.pipe.read_end(), nullptr, direction.to.fd, nullptr,
                            flow.held(), SPLICE_F_NONBLOCK | SPLICE_F_MOVE)
                 : ::send(direction.to.fd, direction.rest.data(), direction.rest.size(),
                          MSG_DONTWAIT | MSG_NOSIGNAL);
  });
  if (put >= 0) {
    const auto octets = static_cast<std::size_t>(put);
    flow.wrote(octets);
    if (!drain) direction.rest = direction.rest.subspan(octets);
  } else if (would_block(errno)) {
    flow.sink_full();
  } else {
    return Turn::sink_failed;
  }
  return Turn::over;
}

/// The shared buffer is the worker's: what the sink did not take moves to a block of its own, which
/// stays until the sink has taken all of it. The one copy too many is paid by slow sinks alone.
bool Junction::keep_rest(Direction& direction) noexcept {
  if (!direction.block) direction.block = pool_.lend_block();  // else it has just run empty
  if (!direction.block) return false;
  std::copy(direction.rest.begin(), direction.rest.end(), direction.block.get());
  direction.rest = {direction.block.get(), direction.rest.size()};
  direction.flow.kept();
  return true;
}

void Junction::give_back(Direction& direction) noexcept {
  if (direction.block) pool_.take_back(std::move(direction.block));
  if (direction.pipe) {
    pool_.pipes().take_back(std::exchange(direction.pipe, Pipe{}), direction.flow.held() == 0);
  }
}

void Junction::wait_for_more(Direction& direction) {
  switch (direction.flow.next()) {
    case Step::await_readable:
      direction.from.readable.arm(*this, direction.from.socket, Ready::read,
                                  direction.flow.drained() && short_is_all(direction));
      break;
    case Step::await_writable:
      direction.to.writable.arm(*this, direction.to.socket, Ready::write, true);
      watch_for_trouble(direction.from);
      break;
    default:
      if (up_.flow.next() == Step::finished && down_.flow.next() == Step::finished) {
        end(RelayEnd::both_closed);
      } else {
        watch_for_trouble(direction.from);
      }
      break;
  }
}

/// Stays armed once it is, also when the side is read again: disarming would cost more than a
/// second look at a side that is dead anyway.
void Junction::watch_for_trouble(Side& side) {
  if (side.closed_both_ways) return;
  side.trouble.arm(*this, side.socket, Ready::error);
}

void Junction::look_for_trouble(Side& side) noexcept {
  pollfd state{side.fd, 0, 0};
  if (::poll(&state, 1, 0) <= 0) return watch_for_trouble(side);
  if ((state.revents & POLLERR) != 0) return passed_on_reset(side);
  side.closed_both_ways = true;  // its EOF is not read yet, ours is sent
}

/// `side` is dead. What it has sent may still be in the kernel: pass on what the other side takes
/// at once, then let that one see a reset too.
void Junction::passed_on_reset(Side& side) noexcept {
  Direction& last = &side == &client_ ? up_ : down_;
  last_words_ = true;
  revoke_lease();
  for (bool more = delivered(last); more;) {
    const std::uint64_t before = last.flow.written();
    more = turn(last) == Turn::over && last.flow.written() != before &&
           last.flow.next() == Step::await_readable;
  }
  if (last_octets_on_their_way(side, last)) return ask_again();
  end(&side == &client_ ? RelayEnd::client_reset : RelayEnd::destination_reset);
}

void Junction::end(RelayEnd why) noexcept {
  if (over_) return;
  over_ = true;
  revoke_lease();
  give_back(up_);
  give_back(down_);
  for (Direction* direction : {&up_, &down_}) {
    if (direction->reserved.octets != 0) settle(*direction, 0);
  }
  for (Side* side : {&client_, &destination_}) {
    if (why != RelayEnd::both_closed) {
      const linger abort{1, 0};
      ::setsockopt(side->fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    }
    side->socket.close();
  }
  if (alarm_) alarm_->cancel();
  RelayReport report{up_.flow.written(), down_.flow.written(), why};
  if (const KernelRelay* const relay = in_kernel()) {
    report.octets_up += relay->redirected(0);
    report.octets_down += relay->redirected(1);
    report.octets_redirected = relay->redirected(0) + relay->redirected(1);
  }
  kernel_.reset();  // behind the sockets
  owner_->ended(report);
  owner_.reset();
  clock_.remove(*this);
  release();  // the clock's hold: the last line, for it may be the last hold
}

std::chrono::seconds Junction::limit() const noexcept {
  const bool half_closed = up_.flow.source_ended() || down_.flow.source_ended();
  return half_closed ? limits_.half_close : limits_.idle;
}

/// When the first direction may go on that has to pause, or the kernel is to be asked again.
void Junction::set_alarm() noexcept {
  auto when = Clock::time_point::max();
  for (const Direction* direction : {&up_, &down_}) {
    if (direction->paused) when = std::min(when, direction->reserved.from);
  }
  if (kernel_ && kernel_->ask_at) when = std::min(when, *kernel_->ask_at);
  try {
    if (!alarm_) alarm_ = std::make_unique<Timer>(context().get_executor());
    alarm_->expires_at(when);
    alarm_->async_wait([this, hold = Hold(*this)](const asio::error_code& error) {
      if (!error && !over_) look_at_clock(Clock::now());
    });
  } catch (...) {
    // No memory for the timer: the clock will do, a little late.
    report_escape("relay", std::current_exception());
  }
}

/// Moving octets only notes the time; here it is looked at.
void Junction::look_at_clock(Clock::time_point now) noexcept {
  const Hold hold(*this);
  if (kernel_ && kernel_->ask_at && now >= *kernel_->ask_at) {
    ask_now();
    if (over_ || kernel_->dying != nullptr) return;
  }
  if (const KernelRelay* const relay = in_kernel()) {
    last_octet_ = std::max(last_octet_, relay->last());
  }
  const std::chrono::seconds most = limit();
  if (most.count() != 0 && now >= last_octet_ + most) {
    const bool half_closed = up_.flow.source_ended() || down_.flow.source_ended();
    return end(half_closed ? RelayEnd::half_close_timeout : RelayEnd::idle_timeout);
  }
  bool still_paused = false;
  for (Direction* direction : {&up_, &down_}) {
    if (over_ || !direction->paused) continue;
    if (now >= direction->reserved.from) run(*direction);
    still_paused = still_paused || direction->paused;
  }
  if (over_) return;
  if (still_paused) set_alarm();
  if (!keeps_alive_ && now >= began_ + kKeepAliveAfter) {
    keeps_alive_ = true;
    keep_alive(destination_.fd);
  }
}

std::array<OwnOctets, 2> Junction::own_octets() const noexcept {
  const auto own = [](const RelayFlow& flow, std::size_t early) {
    return OwnOctets{flow.written() + flow.held() - early, flow.written()};
  };
  return {own(up_.flow, kernel_->early), own(down_.flow, 0)};
}

bool Junction::delivered(const Direction& direction) const noexcept {
  const KernelRelay* const relay = in_kernel();
  if (relay == nullptr) return true;
  for (unsigned ask = 0; ask < kAsksAtOnce; ++ask) {
    if (relay->delivered(way(direction), direction.flow.written())) return true;
  }
  return false;
}

bool Junction::exhausted(const Direction& direction) const noexcept {
  const KernelRelay* const relay = in_kernel();
  return relay == nullptr || relay->exhausted(way(direction), own_octets()[way(direction)].read);
}

void Junction::revoke_lease() noexcept {
  if (KernelRelay* const relay = in_kernel()) relay->revoke();
}

void Junction::ask_again() noexcept {
  if (kernel_->ask_at) return;
  kernel_->ask_at = Clock::now() + kAskAgain;
  set_alarm();
}

void Junction::ask_now() noexcept {
  kernel_->ask_at.reset();
  if (kernel_->dying != nullptr) return passed_on_reset(*kernel_->dying);
  revoke_lease();
  run(up_);
  if (!over_ && kernel_->dying == nullptr) run(down_);
  lease_to_kernel();
}

/// Of a side that is dead: whether the kernel still carries what it had sent.
bool Junction::last_octets_on_their_way(Side& side, const Direction& last) noexcept {
  const KernelRelay* const relay = in_kernel();
  if (relay == nullptr || relay->accounted(way(last), own_octets()[way(last)])) return false;
  if (++kernel_->asked_for_dead > kAsksForTheDead) return false;
  kernel_->dying = &side;
  return true;
}

/// Once the relay has shown that it is one of small messages, and both ways are at rest.
void Junction::lease_to_kernel() noexcept {
  if (over_ || !kernel_ || kernel_->refused || kernel_->dying != nullptr) return;
  if (kernel_->small_turns < pool_.small_turns_to_kernel()) return;
  for (const Direction* direction : {&up_, &down_}) {
    if (direction->flow.next() != Step::await_readable || direction->flow.splicing()) return;
  }
  if (!kernel_->relay) {
    try {
      kernel_->relay = pool_.sockmap()->join(client_.fd, destination_.fd, own_octets());
    } catch (const std::bad_alloc&) {
      report_escape("relay", std::current_exception());
    }
    if (!kernel_->relay) {  // as a rule because the answer has arrived already
      kernel_->refused = ++kernel_->joins == kJoins;
      return;
    }
    for (Direction* direction : {&up_, &down_}) {
      direction->flow.no_splice();
    }
  }
  kernel_->relay->lease(own_octets());
}

}  // namespace

std::string_view describe(RelayEnd end) noexcept {
  switch (end) {
    case RelayEnd::both_closed:
      return "both-closed";
    case RelayEnd::client_reset:
      return "client-reset";
    case RelayEnd::destination_reset:
      return "destination-reset";
    case RelayEnd::idle_timeout:
      return "idle-timeout";
    case RelayEnd::half_close_timeout:
      return "half-close-timeout";
    case RelayEnd::cancelled:
      return "cancelled";
    case RelayEnd::no_resources:
      return "no-resources";
  }
  return "unknown";
}

Relay& make_relay(RelayOrder order, RelayPool& pool, std::unique_ptr<RelayOwner> owner) {
  return *new Junction(std::move(order), pool, std::move(owner));
}

}  // namespace socks64::gateway
