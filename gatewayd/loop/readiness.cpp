#include "loop/readiness.hpp"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <poll.h>
#include <utility>

#include <asio/error.hpp>
#include <asio/post.hpp>

#include "loop/escape_report.hpp"

namespace socks64::gateway {
namespace {

constexpr int batch_size = 128;
// A batch that was no smaller than this has taken so long to serve that there is likely another
// one: looking costs one call, a round through Asio's loop three. Behind smaller ones it is tried
// now and then, and gone on with as long as it pays. Timers and posts wait meanwhile.
constexpr int busy_batch = 8;
constexpr int batches_per_turn = 8;
// Each may have moved half a MiB. Behind so many, what a round costs does not count any more.
constexpr std::size_t enough_per_turn = 128;
constexpr unsigned looks_after_success = 4;
constexpr unsigned turns_between_tries = 16;

constexpr std::uint32_t broken = EPOLLERR | EPOLLHUP;
// recv(2) stops in front of urgent data (RFC 9293 section 3.8.5), and at the end.
constexpr std::uint32_t reading = EPOLLIN | EPOLLRDHUP | EPOLLPRI;
constexpr std::array<std::uint32_t, 3> events_of{reading | broken, EPOLLOUT | broken, broken};

constexpr std::size_t index_of(Ready what) noexcept {
  return static_cast<std::size_t>(what);
}

constexpr std::uint8_t bit_of(std::size_t kind) noexcept {
  return static_cast<std::uint8_t>(1U << kind);
}

bool is_ready_now(int fd, Ready what) noexcept {
  pollfd state{fd, static_cast<short>(what == Ready::read ? POLLIN | POLLRDHUP : POLLOUT), 0};
  return ::poll(&state, 1, 0) != 0;
}

int make_set() {
  const int set = ::epoll_create1(EPOLL_CLOEXEC);
  if (set < 0) {
    throw std::system_error(errno, std::system_category(), "epoll_create1");
  }
  return set;
}

}  // namespace

asio::execution_context::id Readiness::id;

Readiness::Readiness(asio::execution_context& context)
    : asio::execution_context::service(context),
      set_(static_cast<asio::io_context&>(context).get_executor(), make_set()) {}

/// The io_context goes away, and its Asio parts are still there.
void Readiness::shutdown() {
  for (Member& member : members_) {
    for (WaitOp*& op : member.waiting) {
      // Whoever is discarded may close other sockets, and so change all of this.
      if (WaitOp* const gone = std::exchange(op, nullptr)) {
        gone->discard();
      }
    }
  }
  while (first_due_ != nullptr) {
    WaitOp& op = *first_due_;
    unlink(op);
    op.discard();
  }
}

Readiness::Place Readiness::enter() {
  if (free_.empty()) {
    if (free_.capacity() <= members_.size()) {
      free_.reserve(2 * members_.size() + 16);  // leave() must not allocate
    }
    members_.emplace_back();
    return static_cast<Place>(members_.size() - 1);
  }
  const Place place = free_.back();
  free_.pop_back();
  return place;
}

void Readiness::leave(Place place, int fd, bool still_open) noexcept {
  cancel(place);
  Member& member = members_[place];
  if (still_open && member.interest != 0) {
    epoll_event unused{};
    ::epoll_ctl(set_.native_handle(), EPOLL_CTL_DEL, fd, &unused);
  }
  const std::uint32_t generation = member.generation + 1;
  member = Member{};
  member.generation = generation;
  free_.push_back(place);
}

bool Readiness::ask_for(Place place, int fd, std::uint32_t events) noexcept {
  Member& member = members_[place];
  // Sooner or later everybody reads.
  const std::uint32_t wanted = member.interest | events | reading;
  epoll_event event{};
  event.events = wanted | EPOLLET;
  event.data.u64 = std::uint64_t{member.generation} << 32U | place;
  const int what = member.interest == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (::epoll_ctl(set_.native_handle(), what, fd, &event) != 0) {
    return false;
  }
  member.interest = wanted;
  return true;
}

void Readiness::wait(Place place, int fd, Ready what, WaitOp& op, bool drained) noexcept {
  Member& member = members_[place];
  const std::size_t kind = index_of(what);
  const std::uint32_t events = what == Ready::write ? EPOLLOUT : reading;
  if ((member.interest & events) != events) {
    // What is ready by then is the first edge.
    if (!ask_for(place, fd, events)) {
      return make_due(op, errno);
    }
  } else if ((member.edges & bit_of(kind)) != 0 ||
             (what != Ready::error && (!drained || member.doubtful) && is_ready_now(fd, what))) {
    if (what != Ready::error) {
      member.edges &= static_cast<std::uint8_t>(~bit_of(kind));
    }
    return make_due(op, 0);
  }
  member.waiting[kind] = &op;
  ++waiting_;
  if (!collecting_) {
    keep_awake();
  }
}

void Readiness::cancel(Place place) noexcept {
  for (WaitOp*& waiting : members_[place].waiting) {
    if (waiting == nullptr) {
      continue;
    }
    --waiting_;
    make_due(*std::exchange(waiting, nullptr), ECANCELED);
  }
}

void Readiness::cancel(Place place, Ready what, WaitOp& op) noexcept {
  WaitOp*& waiting = members_[place].waiting[index_of(what)];
  if (waiting != &op) {
    return;
  }
  waiting = nullptr;
  --waiting_;
  make_due(op, ECANCELED);
}

void Readiness::withdraw(Place place, Ready what, WaitOp& op) noexcept {
  Member& member = members_[place];
  WaitOp*& waiting = member.waiting[index_of(what)];
  if (waiting == &op) {
    waiting = nullptr;
    --waiting_;
  } else if (op.due_) {
    unlink(op);
    if (op.error_ == 0) {
      member.edges |= bit_of(index_of(what));  // for whoever waits next
    }
  }
  if (!collecting_) {
    keep_awake();
  }
}

void Readiness::make_due(WaitOp& op, int error) noexcept {
  op.error_ = error;
  op.due_ = true;
  op.next_ = nullptr;
  op.previous_ = last_due_;
  (last_due_ != nullptr ? last_due_->next_ : first_due_) = &op;
  last_due_ = &op;
  ++due_;
  kick();
}

void Readiness::unlink(WaitOp& op) noexcept {
  (op.previous_ != nullptr ? op.previous_->next_ : first_due_) = op.next_;
  (op.next_ != nullptr ? op.next_->previous_ : last_due_) = op.previous_;
  op.due_ = false;
  --due_;
}

/// Sees to it that there will be a turn for what is due.
void Readiness::kick() noexcept {
  if (collecting_ || kicked_) {
    return;
  }
  try {
    asio::post(set_.get_executor(), in_memory(kick_memory_, [this] {
                 kicked_ = false;
                 collect();
               }));
    kicked_ = true;
  } catch (...) {
    report_escape("readiness", std::current_exception());  // the next edge makes a turn as well
  }
}

/// Asio waits for the set exactly as long as somebody waits for a socket: that is the io_context's
/// outstanding work.
void Readiness::keep_awake() noexcept {
  if (armed_ == (waiting_ != 0)) {
    return;
  }
  try {
    if (waiting_ == 0) {
      set_.cancel();
      return;
    }
    set_.async_wait(SetDescriptor::wait_read,
                    in_memory(wait_memory_, [this](const asio::error_code& error) {
                      armed_ = false;
                      if (!error) {
                        return collect();
                      }
                      keep_awake();  // somebody may have begun to wait since it was cancelled
                    }));
    armed_ = true;
  } catch (...) {
    report_escape("readiness", std::current_exception());
  }
}

void Readiness::call(WaitOp& op, int error) noexcept {
  try {
    op.ready({error, asio::error::get_system_category()});
  } catch (...) {
    // Memory ran out on the way into a coroutine; the other sockets are not to suffer for it.
    report_escape("readiness", std::current_exception());
  }
}

void Readiness::notice(const epoll_event& event) noexcept {
  const auto place = static_cast<Place>(event.data.u64);
  const auto generation = static_cast<std::uint32_t>(event.data.u64 >> 32U);
  if (members_[place].generation != generation) {
    return;  // closed earlier in this batch
  }
  if ((event.events & (EPOLLRDHUP | EPOLLPRI | broken)) != 0) {
    members_[place].doubtful = true;
  }
  // Errors first: who learns of one need not read to find out.
  for (std::size_t kind = events_of.size(); kind-- > 0;) {
    if ((event.events & events_of[kind]) == 0) {
      continue;
    }
    Member& member = members_[place];
    WaitOp* const op = std::exchange(member.waiting[kind], nullptr);
    // A broken socket stays broken, whoever looks.
    if (op == nullptr || kind == index_of(Ready::error)) {
      member.edges |= bit_of(kind);
    }
    if (op == nullptr) {
      continue;
    }
    --waiting_;
    call(*op, 0);
    if (members_[place].generation != generation) {
      return;
    }
  }
}

void Readiness::run_due() noexcept {
  // What becomes due meanwhile is for the next turn: a socket that is always ready must not keep
  // the others waiting.
  for (std::size_t left = due_; left > 0 && first_due_ != nullptr; --left) {
    WaitOp& op = *first_due_;
    unlink(op);
    call(op, op.error_);
  }
}

/// Whether to look once more behind a batch of `got`.
bool Readiness::worth_another_look(int got) noexcept {
  if (got >= busy_batch) {
    return true;
  }
  if (got <= 0) {
    return false;
  }
  if (looks_left_ > 0) {
    --looks_left_;
    return true;
  }
  if (++turns_without_look_ < turns_between_tries) {
    return false;
  }
  turns_without_look_ = 0;
  return true;
}

void Readiness::collect() noexcept {
  collecting_ = true;
  std::array<epoll_event, batch_size> events;
  std::size_t served = 0;
  for (int batch = 0; batch < batches_per_turn; ++batch) {
    served += due_;
    run_due();
    const int got = ::epoll_wait(set_.native_handle(), events.data(), batch_size, 0);
    for (int i = 0; i < got; ++i) {
      notice(events[static_cast<std::size_t>(i)]);
    }
    if (batch > 0 && got > 0) {
      looks_left_ = looks_after_success;
    }
    served += static_cast<std::size_t>(std::max(got, 0));
    if (served >= enough_per_turn || !worth_another_look(got)) {
      break;
    }
  }
  collecting_ = false;
  if (first_due_ != nullptr) {
    kick();
  }
  keep_awake();
}

}  // namespace socks64::gateway
