// Every blocking call drives every handshake.
//
// Nobody but the program's own calls advances its handshakes, so each call that may block has to:
// one that waits for something else, sleeps, reads from a pipe or accepts. There is one way to do
// it. The call's own descriptors, none for a sleep, go into one ppoll(2) with those of all pending
// handshakes, and what the handshakes get is served until the call's own are ready or its time is
// over. Only then the kernel's own call is made, and does not block.
//
// Signals. All are blocked but inside ppoll, where the mask is the program's: so a handler runs in
// the wait itself or not at all, and none is missed between two rounds. That is what pause() and
// sigsuspend() need, and it makes EINTR exact for the others.
//
// A forked child leaves its parent's handshakes to the parent, unless it uses their descriptors:
// only one of them would learn why a connect failed.
#include "gateway/progress_wait.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>

#include "descriptors/gateway_socket.hpp"
#include "descriptors/wait_set.hpp"
#include "gateway/gateway_link.hpp"
#include "host/file_status.hpp"
#include "host/hook_table.hpp"
#include "host/scratch.hpp"

namespace socks64::shim {
namespace {

/// No handler runs but in a wait that is given mask().
class SignalsInWaitsOnly {
 public:
  explicit SignalsInWaitsOnly(const sigset_t* program) noexcept : saved_(block_signals()) {
    // libc's own, for cancellation and setuid, run no code of the program's.
    constexpr std::uint64_t of_libc = std::uint64_t{7} << 31U;
    restore_signals(~of_libc | (saved_ & of_libc));
    if (program != nullptr) {
      mask_ = *program;
    } else {
      std::memcpy(&mask_, &saved_, sizeof(saved_));
    }
  }
  ~SignalsInWaitsOnly() { restore_signals(saved_); }
  SignalsInWaitsOnly(const SignalsInWaitsOnly&) = delete;
  SignalsInWaitsOnly& operator=(const SignalsInWaitsOnly&) = delete;
  [[nodiscard]] const sigset_t* mask() const noexcept { return &mask_; }

 private:
  std::uint64_t saved_;
  sigset_t mask_{};
};

nfds_t gather(pollfd* out) noexcept {
  static constinit std::atomic<std::uint32_t> turn{0};
  if (!fd_table().any_unsettled()) {
    return 0;
  }
  std::uint32_t cursor = turn.load(std::memory_order_relaxed);
  const nfds_t used = fd_table().pending(out, watched_at_once, cursor);
  if (used == watched_at_once) {
    turn.store(cursor, std::memory_order_relaxed);
  }
  for (nfds_t i = 0; i < used; ++i) {
    out[i].fd = out[i].events == 0 ? -1 : out[i].fd;  // nothing of the socket's is waited for
  }
  return used;
}

/// The pending handshakes behind the first `own` of `list`; those of `list` are not watched twice.
nfds_t gather_beside(pollfd* list, nfds_t own, bool has_pending) noexcept {
  if (has_pending && fd_table().one_unsettled()) {
    return 0;
  }
  nfds_t used = gather(list + own);
  constexpr nfds_t short_list = 64;
  for (nfds_t i = 0; own <= short_list && i < used;) {
    const int fd = list[own + i].fd;
    const bool listed =
        std::any_of(list, list + own, [&](const pollfd& each) { return each.fd == fd; });
    if (fd < 0 || !listed) {
      ++i;
    } else {
      list[own + i] = list[own + --used];
    }
  }
  return used;
}

/// From time to time all are looked at: a relative or another thread may have read what the kernel
/// would have told us of.
bool is_time_for_all() noexcept {
  static constinit std::atomic<Nanoseconds> next_time{0};
  const Nanoseconds time = now();
  Nanoseconds next = next_time.load(std::memory_order_relaxed);
  return time >= next && next_time.compare_exchange_strong(next, time + patience);
}

int poll_gathered(pollfd* list, nfds_t own, nfds_t beside, Nanoseconds end,
                  const sigset_t* mask) noexcept {
  if (beside != 0) {
    end = std::min({end, now() + glance, std::max(fd_table().next_deadline(), now())});
  }
  const timespec left = to_timespec(end == never ? 0 : std::max<Nanoseconds>(end - now(), 0));
  int ready = libc::ppoll(list, own + beside, end == never ? nullptr : &left, mask);
  if (ready < 0 && errno == EINVAL && beside != 0) {
    // More than RLIMIT_NOFILE lets poll(2) list: the call's own alone are waited for, a moment, and
    // of the handshakes nothing is known.
    constexpr Nanoseconds short_sleep = 5'000'000;
    const timespec moment = to_timespec(std::clamp<Nanoseconds>(end - now(), 0, short_sleep));
    for (nfds_t i = own; i < own + beside; ++i) {
      list[i].revents = POLLERR;
    }
    ready = libc::ppoll(list, own, &moment, mask);
  }
  if (ready < 0) {
    return ready;
  }
  if (beside != 0) {
    const bool all = ready == 0 && is_time_for_all();
    for (nfds_t i = own; i < own + beside; ++i) {
      if (list[i].revents != 0 || all) {
        static_cast<void>(drive(list[i].fd, {(list[i].revents & POLLERR) == 0, true}));
      }
    }
    serve_deadlines();
  }
  return static_cast<int>(
      std::count_if(list, list + own, [](const pollfd& each) { return each.revents != 0; }));
}

bool has_failed(int fd) noexcept {
  const Connection* connection = fd_table().verified_connection(fd);
  return connection != nullptr &&
         connection->state.load(std::memory_order_acquire) == ConnectionState::failed;
}

/// A read from a terminal may have a time limit of the terminal's own.
bool can_be_waited_for(int fd) noexcept {
  FileStatus status{};
  if (status_of(fd, status) != 0 || S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) {
    return false;
  }
  if (!S_ISCHR(status.st_mode)) {
    return true;
  }
  struct {
    termios settings;
    char room[64];
  } terminal{};
  return libc::ioctl(fd, TCGETS, &terminal) == 0 && (terminal.settings.c_lflag & ICANON) != 0;
}

}  // namespace

bool any_pending() noexcept {
  pollfd one{};
  std::uint32_t cursor = 0;
  return fd_table().any_unsettled() && fd_table().pending(&one, 1, cursor) != 0;
}

bool any_unmarked() noexcept {
  pollfd pending[watched_at_once];
  return wait_set().without_marked(pending, gather(pending)) != 0;
}

int poll_beside(pollfd* list, nfds_t own, bool has_pending, Nanoseconds end,
                const sigset_t* mask) noexcept {
  return poll_gathered(list, own, gather_beside(list, own, has_pending), end, mask);
}

void drive_ready() noexcept {
  const ErrnoGuard guard;
  pollfd pending[watched_at_once];
  const nfds_t used = gather(pending);
  const timespec at_once{};
  if (used == 0 || libc::ppoll(pending, used, &at_once, nullptr) <= 0) {
    return;
  }
  for (nfds_t i = 0; i < used; ++i) {
    if (pending[i].revents != 0) {
      static_cast<void>(drive(pending[i].fd, {(pending[i].revents & POLLERR) == 0, true}));
    }
  }
}

int wait_beside_set(int epfd, Nanoseconds end, const sigset_t* mask) noexcept {
  pollfd list[1 + watched_at_once];
  list[0] = {epfd, POLLIN, 0};
  const SignalsInWaitsOnly signals(mask);
  const nfds_t beside = wait_set().without_marked(list + 1, gather(list + 1));
  return poll_gathered(list, 1, beside, end, signals.mask());
}

int wait_driving(pollfd* fds, nfds_t count, Nanoseconds end, const sigset_t* mask) noexcept {
  const Scratch<pollfd, 256> scratch(count + watched_at_once);
  pollfd* asked = scratch.data();
  if (asked == nullptr) {
    errno = ENOMEM;
    return -1;
  }
  pthread_testcancel();
  const int saved = errno;
  const SignalsInWaitsOnly signals(mask);
  for (bool polled = false;; polled = true) {
    Nanoseconds wake = end;
    bool pending = false;
    for (nfds_t i = 0; i < count; ++i) {
      const bool no_error = polled && asked[i].fd >= 0 && (asked[i].revents & POLLERR) == 0;
      asked[i] = {fds[i].fd, fds[i].events, 0};
      const Progress progress = drive(fds[i].fd, {no_error, true});
      if (progress.state == Progress::State::pending) {
        asked[i].events = progress.events;
        asked[i].fd = progress.events == 0 ? -1 : fds[i].fd;
        wake = std::min(wake, progress.deadline);
        pending = true;
      } else if (wait_set().holds_marks(fds[i].fd)) {
        wait_set().advance(fds[i].fd, drive);
        pending = true;
      }
    }
    if (pending) {
      wake = std::min(wake, now() + glance);
    }
    const int ready_count = poll_beside(asked, count, pending, wake, signals.mask());
    if (ready_count < 0) {
      return ready_count;
    }
    int reported = 0;
    for (nfds_t i = 0; i < count; ++i) {
      // What woke us for a handshake is not for the program's eyes; the next round drives it.
      const Connection* connection = pending ? fd_table().connection(fds[i].fd) : nullptr;
      const bool hidden =
          connection != nullptr && asked[i].revents != 0 &&
          connection->state.load(std::memory_order_acquire) == ConnectionState::pending;
      const bool other_question = asked[i].events != fds[i].events;
      constexpr short input = POLLIN | POLLRDNORM;
      if ((asked[i].revents & input) != 0 && wait_set().holds_marks(fds[i].fd) &&
          !wait_set().is_readable_set(fds[i].fd, drive)) {
        asked[i].revents = static_cast<short>(asked[i].revents & ~input);
      }
      fds[i].revents = hidden || other_question ? short{0} : asked[i].revents;
      if (fds[i].revents != 0 && has_failed(fds[i].fd)) {
        fds[i].revents |= POLLERR;  // also where the kernel's own note of the error is gone
      }
      reported += fds[i].revents != 0 ? 1 : 0;
    }
    if (reported != 0 || (ready_count == 0 && now() >= end)) {
      errno = saved;
      return reported;
    }
  }
}

/// What interrupted a blocking call: the kernel restarts its own when the handler has SA_RESTART.
/// We cannot know which handler ran, so we restart if every handler of the program has it. A
/// program that mixes both may see an EINTR it would not have seen; a retry completes. Handlers of
/// faults do not count: many programs have them, and a wait has no faults.
bool restarts_after_signals() noexcept {
  constexpr auto is_fault = [](int signal) {
    return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL ||
           signal == SIGTRAP || signal == SIGSYS || signal == SIGABRT;
  };
  for (int signal = 1; signal < _NSIG; ++signal) {
    struct sigaction action {};
    if (!is_fault(signal) && sigaction(signal, nullptr, &action) == 0 &&
        action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN &&
        (action.sa_flags & SA_RESTART) == 0) {
      return false;
    }
  }
  return true;
}

bool wait_for_own(int fd, short events, bool dont_wait, int timeout_option) noexcept {
  if (dont_wait || !any_to_drive() || is_non_blocking(fd) || !can_be_waited_for(fd)) {
    return true;
  }
  ErrnoGuard guard;
  const Nanoseconds end = end_of_wait(fd, timeout_option);
  pollfd own{fd, events, 0};
  for (;;) {
    const int result = wait_driving(&own, 1, end, nullptr);
    if (result > 0) {
      return true;
    }
    if (result == 0) {
      errno = EAGAIN;
    } else if (errno != EINTR) {
      return true;  // what is wrong the call itself says
    } else if (end == never && restarts_after_signals()) {
      continue;
    }
    guard.set(errno);
    return false;
  }
}

}  // namespace socks64::shim
