// The relay: two directions over two sockets, driven by readiness.
//
// One coroutine per relay awaits one thing, a timer. It sleeps until the relay may have been silent
// for too long, and is woken early when the relay is over or cancelled; it does not take part in
// moving octets. Those are moved by readiness handlers that make non-blocking system calls as
// RelayFlow says, one turn at a time, so a busy relay shares its worker with the others.
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
#include <fcntl.h>
#include <memory>
#include <new>
#include <poll.h>
#include <sys/socket.h>

#include "relay_flow.hpp"
#include "relay_pool.hpp"
#include "sockmap.hpp"
#include "wait_slot.hpp"

namespace socks64::gateway {

namespace {

using Step = RelayFlow::Step;

/// A turn of small messages; and how soon, and for a dead side how often, to ask again when
/// redirected octets are still on their way to a sink.
constexpr std::size_t kSmallTurn = 16'384;
constexpr std::chrono::milliseconds kAskAgain{1};
constexpr unsigned kAsksAtOnce = 16;  ///< a few microseconds; as a rule the first will do
constexpr unsigned kJoins = 32;       ///< attempts to join the map, before it is given up
constexpr unsigned kAsksForTheDead = 10;

/// How long a reset may go unnoticed behind unread urgent data; see look_for_trouble().
constexpr std::chrono::seconds kUrgentRecheck{1};

struct Side {
  explicit Side(Socket& from) : socket(from), fd(from.native_handle()) {}

  Socket& socket;
  int fd;
  WaitSlot readable;
  WaitSlot writable;
  WaitSlot trouble;
  bool closed_both_ways = false;  ///< EPOLLHUP without an error: nothing more to watch for
  bool urgent = false;  ///< EPOLLPRI is on and would wake us for ever: not before `look_again`
  Clock::time_point look_again;
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

/// Where a relay's two directions meet. Lives on the heap because waits may outlive the coroutine.
class Junction final : public WaitOwner {
 public:
  Junction(Socket& client, Socket& destination, std::span<const std::uint8_t> early,
           const RelayLimits& limits, RelayPool& pool, const BandwidthPair& bandwidth, Timer& alarm)
      : client_(client),
        destination_(destination),
        up_(client_, destination_, pool.tuning(), early, bandwidth.up),
        down_(destination_, client_, pool.tuning(), {}, bandwidth.down),
        limits_(limits),
        pool_(pool),
        alarm_(alarm),
        early_(early.size()),
        kernel_refused_(pool.sockmap() == nullptr || bandwidth.up != nullptr ||
                        bandwidth.down != nullptr) {}

  void start();
  void end(RelayEnd why) noexcept;
  /// The coroutine is gone, and the sockets, the pool and the alarm with it.
  void abandon() noexcept {
    over_ = true;
    kernel_.reset();
  }

  void look_at_clock() noexcept;
  [[nodiscard]] Clock::time_point next_look() const noexcept;

  [[nodiscard]] bool over() const noexcept { return over_; }
  [[nodiscard]] RelayReport report() const noexcept {
    return {up_.flow.written() + redirected_[0], down_.flow.written() + redirected_[1], end_,
            redirected_[0] + redirected_[1]};
  }

  void woken(WaitSlot& slot, const asio::error_code& error) noexcept override;

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
  void watch_for_trouble(Side& side);
  void look_for_trouble(Side& side) noexcept;
  void passed_on_reset(Side& side) noexcept;
  [[nodiscard]] std::chrono::seconds limit() const noexcept;

  // The kernel's part. Without it delivered() and exhausted() are true.
  [[nodiscard]] std::size_t way(const Direction& direction) const noexcept {
    return &direction == &up_ ? 0 : 1;
  }
  [[nodiscard]] std::array<OwnOctets, 2> own_octets() const noexcept;
  [[nodiscard]] bool delivered(const Direction& direction) const noexcept;
  [[nodiscard]] bool exhausted(const Direction& direction) const noexcept;
  void ask_again() noexcept;
  void lease_to_kernel() noexcept;
  void leave_kernel() noexcept;

  Side client_;
  Side destination_;
  Direction up_;
  Direction down_;
  RelayLimits limits_;
  RelayPool& pool_;
  Timer& alarm_;
  Clock::time_point last_octet_ = Clock::now();
  RelayEnd end_ = RelayEnd::cancelled;
  bool over_ = false;
  bool last_words_ = false;  ///< one side is dead: nothing is read from the other any more

  std::unique_ptr<KernelRelay> kernel_;
  std::array<std::uint64_t, 2> redirected_{};  ///< by the kernel, once it is over
  std::size_t early_;
  unsigned small_turns_ = 0;
  bool kernel_refused_;  ///< by the kernel, or for what the relay is
  bool asks_ = false;    ///< again at `ask_at_`
  unsigned asked_for_dead_ = 0;
  unsigned joins_ = 0;     ///< tried in vain
  Side* dying_ = nullptr;  ///< dead, and what it sent is on its way through the kernel
  Clock::time_point ask_at_;
};

void Junction::start() {
  for (Side* side : {&client_, &destination_}) {
    asio::error_code ignored;
    side->socket.native_non_blocking(true, ignored);
    // An urgent octet is an octet: out of line it would vanish from the stream.
    const int on = 1;
    ::setsockopt(side->fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
  }
  run(up_);
  if (!over_) run(down_);
  if (!over_ && !kernel_refused_) lease_to_kernel();
}

void Junction::woken(WaitSlot& slot, const asio::error_code& error) noexcept {
  if (over_) return;
  if (error) return end(RelayEnd::cancelled);  // somebody cancelled the socket's operations
  if (dying_ != nullptr) return;
  if (kernel_) kernel_->revoke();
  if (&slot == &client_.readable || &slot == &destination_.writable) {
    run(up_);
  } else if (&slot == &destination_.readable || &slot == &client_.writable) {
    run(down_);
  } else {
    look_for_trouble(&slot == &client_.trouble ? client_ : destination_);
  }
  if (!over_ && !kernel_refused_) lease_to_kernel();
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
  small_turns_ = flow.written() - written <= kSmallTurn ? small_turns_ + 1 : 0;
  if (flow.written() != written || eof) last_octet_ = Clock::now();
  if (eof) alarm_.cancel();  // the limit may be nearer now
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
    alarm_.cancel();  // its time is nearer now
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
      direction.from.readable.arm(*this, direction.from.socket, Socket::wait_read);
      break;
    case Step::await_writable:
      direction.to.writable.arm(*this, direction.to.socket, Socket::wait_write);
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
  if (side.closed_both_ways || side.urgent) return;
  side.trouble.arm(*this, side.socket, Socket::wait_error);
}

void Junction::look_for_trouble(Side& side) noexcept {
  pollfd state{side.fd, 0, 0};
  if (::poll(&state, 1, 0) > 0) {
    if ((state.revents & POLLERR) != 0) return passed_on_reset(side);
    side.closed_both_ways = true;  // its EOF is not read yet, ours is sent
    return;
  }
  // Urgent data that is not read yet keeps EPOLLPRI on. Look again every now and then instead.
  side.urgent = true;
  side.look_again = Clock::now() + kUrgentRecheck;
  alarm_.cancel();
}

/// `side` is dead. What it has sent may still be in the kernel: pass on what the other side takes
/// at once, then let that one see a reset too.
void Junction::passed_on_reset(Side& side) noexcept {
  Direction& last = &side == &client_ ? up_ : down_;
  last_words_ = true;
  if (kernel_) kernel_->revoke();
  for (bool more = delivered(last); more;) {
    const std::uint64_t before = last.flow.written();
    more = turn(last) == Turn::over && last.flow.written() != before &&
           last.flow.next() == Step::await_readable;
  }
  if (kernel_ && !kernel_->accounted(way(last), own_octets()[way(last)]) &&
      ++asked_for_dead_ <= kAsksForTheDead) {
    dying_ = &side;
    return ask_again();
  }
  end(&side == &client_ ? RelayEnd::client_reset : RelayEnd::destination_reset);
}

void Junction::end(RelayEnd why) noexcept {
  if (over_) return;
  over_ = true;
  end_ = why;
  if (kernel_) kernel_->revoke();
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
    asio::error_code ignored;
    side->socket.close(ignored);
  }
  if (kernel_) leave_kernel();
  alarm_.cancel();
}

std::chrono::seconds Junction::limit() const noexcept {
  const bool half_closed = up_.flow.source_ended() || down_.flow.source_ended();
  return half_closed ? limits_.half_close : limits_.idle;
}

/// Moving octets only notes the time. The alarm is set again when it goes off, not per chunk.
Clock::time_point Junction::next_look() const noexcept {
  const std::chrono::seconds most = limit();
  auto look = most.count() == 0 ? Clock::time_point::max() : last_octet_ + most;
  if (asks_) look = std::min(look, ask_at_);
  for (const Side* side : {&client_, &destination_}) {
    if (side->urgent) look = std::min(look, side->look_again);
  }
  for (const Direction* direction : {&up_, &down_}) {
    if (direction->paused) look = std::min(look, direction->reserved.from);
  }
  return look;
}

void Junction::look_at_clock() noexcept {
  const std::chrono::seconds most = limit();
  const Clock::time_point now = Clock::now();
  if (asks_ && now >= ask_at_) {
    asks_ = false;
    if (dying_ != nullptr) return passed_on_reset(*dying_);
    kernel_->revoke();
    run(up_);
    if (!over_ && dying_ == nullptr) run(down_);
    if (over_ || dying_ != nullptr) return;
    lease_to_kernel();
  }
  if (kernel_) last_octet_ = std::max(last_octet_, kernel_->last());
  if (most.count() != 0 && now >= last_octet_ + most) {
    const bool half_closed = up_.flow.source_ended() || down_.flow.source_ended();
    return end(half_closed ? RelayEnd::half_close_timeout : RelayEnd::idle_timeout);
  }
  for (Direction* direction : {&up_, &down_}) {
    if (!over_ && direction->paused && now >= direction->reserved.from) run(*direction);
  }
  if (over_) return;
  for (Side* side : {&client_, &destination_}) {
    if (side->urgent && now >= side->look_again) {
      side->urgent = false;
      if (!side->readable.armed()) watch_for_trouble(*side);
    }
  }
}

std::array<OwnOctets, 2> Junction::own_octets() const noexcept {
  const auto own = [](const RelayFlow& flow, std::size_t early) {
    return OwnOctets{flow.written() + flow.held() - early, flow.written()};
  };
  return {own(up_.flow, early_), own(down_.flow, 0)};
}

bool Junction::delivered(const Direction& direction) const noexcept {
  if (!kernel_) return true;
  for (unsigned ask = 0; ask < kAsksAtOnce; ++ask) {
    if (kernel_->delivered(way(direction), direction.flow.written())) return true;
  }
  return false;
}

bool Junction::exhausted(const Direction& direction) const noexcept {
  return !kernel_ || kernel_->exhausted(way(direction), own_octets()[way(direction)].read);
}

void Junction::ask_again() noexcept {
  if (asks_) return;
  asks_ = true;
  ask_at_ = Clock::now() + kAskAgain;
  alarm_.cancel();
}

/// Once the relay has shown that it is one of small messages, and both ways are at rest.
void Junction::lease_to_kernel() noexcept {
  if (small_turns_ < pool_.small_turns_to_kernel() || dying_ != nullptr) return;
  for (const Direction* direction : {&up_, &down_}) {
    if (direction->flow.next() != Step::await_readable || direction->flow.splicing()) return;
  }
  if (!kernel_) {
    try {
      kernel_ = pool_.sockmap()->join(client_.fd, destination_.fd, own_octets());
    } catch (const std::bad_alloc&) {
    }
    if (!kernel_) {  // as a rule because the answer has arrived already
      kernel_refused_ = ++joins_ == kJoins;
      return;
    }
    for (Direction* direction : {&up_, &down_})
      direction->flow.no_splice();
  }
  kernel_->lease(own_octets());
}

void Junction::leave_kernel() noexcept {
  for (std::size_t way = 0; way < 2; ++way)
    redirected_[way] = kernel_->redirected(way);
  kernel_.reset();
}

/// The coroutine's hold on the junction, given up however the coroutine ends.
class Tenancy {
 public:
  explicit Tenancy(Junction* junction) noexcept : junction_(junction) { junction_->acquire(); }
  Tenancy(const Tenancy&) = delete;
  Tenancy& operator=(const Tenancy&) = delete;
  ~Tenancy() {
    junction_->abandon();
    junction_->release();
  }

 private:
  Junction* junction_;
};

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

Task<RelayReport> relay(Socket& client, Socket& destination, std::span<const std::uint8_t> early,
                        const RelayLimits& limits, RelayPool& pool,
                        const BandwidthPair& bandwidth) {
  // A cancellation must find its way to end(), not out of the next co_await as an exception.
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);

  Timer alarm(client.get_executor());
  Junction* const junction =
      new Junction(client, destination, early, limits, pool, bandwidth, alarm);
  const Tenancy tenancy(junction);
  junction->start();
  while (!junction->over()) {
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      junction->end(RelayEnd::cancelled);
      break;
    }
    alarm.expires_at(junction->next_look());
    [[maybe_unused]] const auto woken_by = co_await alarm.async_wait(as_result);
    if (!junction->over()) junction->look_at_clock();
  }
  const RelayReport report = junction->report();
  co_await asio::this_coro::throw_if_cancelled(throws);
  co_return report;
}

}  // namespace socks64::gateway
