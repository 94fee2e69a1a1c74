// The coroutine below is the only one of a dial, and the only one to suspend. Everything else -
// answers, connects - arrives as callbacks on the same executor, changes the Contest, and wakes the
// coroutine, which asks the Race (race.hpp) what to do next. That the two never run at the same
// time is what makes it right without a lock, and without `||`, which would take the first connect
// to *complete* for the winner, a refusal included.
//
// Nothing outlives the dial by more than its last callback: when the coroutine ends - winner,
// failure, cancellation, or its frame destroyed with the io_context - Contest::end() closes what is
// open and withdraws the questions. Callbacks of closed sockets still come; they hold the Contest
// and find it ended.
#include "dial/dial.hpp"

#include <algorithm>
#include <cerrno>
#include <list>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <variant>

#include <asio/this_coro.hpp>

#include "socks64/sockaddr.hpp"

#include "base/dns_name.hpp"
#include "base/local_end.hpp"
#include "base/route.hpp"
#include "base/socket_option.hpp"
#include "dial/candidates.hpp"
#include "dial/race.hpp"

namespace socks64::gateway {
namespace {

int domain_of(const IpAddress& address) noexcept {
  return address.is_v4() ? AF_INET : AF_INET6;
}

/// connect(2) says EADDRNOTAVAIL when there is no source address for this destination, and when
/// there is one, but every local port towards the destination is taken. Only the first is about the
/// network; the second is ours, and a client is not to give the network up for it.
Failure failure_of_connect(std::error_code error, const Endpoint& remote,
                           const Source& source) noexcept {
  if (error.value() == EADDRNOTAVAIL && source_towards(remote, source)) {
    return Failure::no_resources;
  }
  return failure_from_errno(error.value());
}

/// An empty one, with `error` set, when there is none to be had.
Descriptor open_socket(const IpAddress& address, const Source& source, std::error_code& error) {
  Descriptor socket(
      ::socket(domain_of(address), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!socket) {
    error = {errno, std::system_category()};
    return socket;
  }
  set_option(socket.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  error = bind_source(socket.get(), address.family(), source);
  return error ? Descriptor() : std::move(socket);
}

/// How far the connection is: none, EINPROGRESS, or why there is none. Begins it the first time.
std::error_code connect_on(const Socket& socket, const Endpoint& remote) noexcept {
  sockaddr_storage storage{};
  const socklen_t length = to_sockaddr(remote, storage);
  const auto* const name = reinterpret_cast<const sockaddr*>(&storage);
  int result = -1;
  do {
    result = ::connect(socket.native_handle(), name, length);
  } while (result != 0 && errno == EINTR);
  if (result == 0) {
    return {};
  }
  return {errno == EALREADY ? EINPROGRESS : errno, std::system_category()};
}

struct Attempt {
  Attempt(const Executor& executor, Descriptor from, const Endpoint& to)
      : socket(executor, std::move(from)), remote(to) {}

  Socket socket;
  Endpoint remote;
  Endpoint local;
  bool abandoned = false;  ///< closed, and counted as failed; its callback is still to come
};

class Contest : public Candidates, public std::enable_shared_from_this<Contest> {
 public:
  using Candidates::Candidates;

  void start(const IpAddress& address);
  void abandon_oldest();
  void end() noexcept;
  /// Whether the winner is not of the family that was tried first, and that one is to blame.
  [[nodiscard]] bool first_family_lost() const noexcept;

  unsigned connects = 0;
  std::optional<Attempt> winner;

 private:
  using Attempts = std::list<Attempt>;

  void await_end(Attempts::iterator attempt);
  void finished(Attempts::iterator attempt, std::error_code error);
  void failed(Failure failure) noexcept;
  /// Why this connection, although established, is none; none if it is.
  [[nodiscard]] static Failure verify(Attempt& attempt) noexcept;

  Attempts running_;
  std::optional<Family> first_family_;
  bool own_fault_ = false;
  bool ended_ = false;
};

void Contest::start(const IpAddress& address) {
  const Endpoint remote{address, port_};
  // Judged again at the last moment: the rules may have changed while other addresses were tried.
  if (!permits(remote)) {
    race.attempt_failed(Failure::denied, Clock::now());
    return;
  }
  std::error_code error;
  Descriptor socket = open_socket(address, source_for(remote), error);
  if (error) {
    return failed(failure_from_errno(error.value()));
  }
  const auto attempt = running_.emplace(running_.end(), executor_, std::move(socket), remote);
  ++connects;
  if (!first_family_) {
    first_family_ = address.family();
  }
  error = connect_on(attempt->socket, remote);
  // Asked once more: what answers on this host has done so by now.
  if (error.value() == EINPROGRESS) {
    error = connect_on(attempt->socket, remote);
  }
  if (error.value() == EINPROGRESS) {
    return await_end(attempt);
  }
  finished(attempt, error);
}

void Contest::await_end(Attempts::iterator attempt) {
  const auto look = [self = shared_from_this(), attempt](std::error_code error) {
    if (self->ended_) {
      return;
    }
    if (!error) {
      error = connect_on(attempt->socket, attempt->remote);
    }
    if (error.value() == EINPROGRESS) {
      return self->await_end(attempt);
    }
    self->finished(attempt, error);
  };
  attempt->socket.async_wait(Ready::write, look, true);
}

void Contest::abandon_oldest() {
  const auto oldest =
      std::ranges::find_if(running_, [](const Attempt& attempt) { return !attempt.abandoned; });
  if (oldest == running_.end()) {
    return;
  }
  oldest->abandoned = true;
  oldest->socket.close();
  failed(Failure::timed_out);
}

void Contest::failed(Failure failure) noexcept {
  // What happened here says nothing of the families out there.
  if (failure == Failure::no_resources || failure == Failure::internal) {
    own_fault_ = true;
  }
  race.attempt_failed(failure, Clock::now());
}

bool Contest::first_family_lost() const noexcept {
  return winner && !own_fault_ && first_family_ != winner->remote.address.family();
}

Failure Contest::verify(Attempt& attempt) noexcept {
  const std::optional<Endpoint> local = local_end_of(attempt.socket.native_handle());
  if (!local) {
    return Failure::refused;  // reset before we could look
  }
  attempt.local = *local;
  // A closed port within the ephemeral range of this very host can be met by our own SYN (RFC 9293
  // section 3.5, simultaneous open): a connection to oneself is nobody's service.
  return attempt.local == attempt.remote ? Failure::refused : Failure::none;
}

void Contest::finished(Attempts::iterator attempt, std::error_code error) {
  if (attempt->abandoned) {
    running_.erase(attempt);
    return;
  }
  Failure failure = failure_of_connect(error, attempt->remote, source_for(attempt->remote));
  if (failure == Failure::none) {
    failure = verify(*attempt);
  }
  if (failure != Failure::none) {
    failed(failure);
  } else if (!winner) {
    winner.emplace(std::move(*attempt));
  }
  running_.erase(attempt);
  wake.cancel();
}

void Contest::end() noexcept {
  ended_ = true;
  withdraw();
  for (Attempt& attempt : running_) {
    attempt.socket.close();
  }
}

struct EndOfContest {
  explicit EndOfContest(Contest& contest) : contest_(contest) {}
  ~EndOfContest() { contest_.end(); }
  EndOfContest(const EndOfContest&) = delete;
  EndOfContest& operator=(const EndOfContest&) = delete;

 private:
  Contest& contest_;
};

std::optional<FamilyMemory::Key> place_of(const Target& target, const FamilyMemory& memory) {
  const NamedEndpoint& named = std::get<NamedEndpoint>(target);
  const std::optional<std::string> canonical = canonical_name(named.name.view());
  return canonical ? std::optional(memory.key(*canonical, named.port)) : std::nullopt;
}

}  // namespace

Task<DialResult> Dialer::dial(const Target& target, const AddressFilter& permit,
                              DialWishes wishes) const {
  DialResult result;
  const Port port = port_of(target);
  if (port == 0) {
    result.failure = Failure::bad_port;
    co_return result;
  }
  const Executor executor = co_await asio::this_coro::executor;
  const Clock::time_point began = Clock::now();
  const std::optional<IpAddress> literal = literal_of(target);
  const std::optional<FamilyMemory::Key> place = literal ? std::nullopt : place_of(target, memory_);
  const std::optional<Family> start_with = place ? memory_.recall(*place, began) : std::nullopt;
  const auto contest =
      std::make_shared<Contest>(executor, Way(config_, wishes), port, permit, start_with);
  const EndOfContest end(*contest);

  if (literal) {
    contest->literal(*literal);
  } else {
    contest->ask(resolver_, std::get<NamedEndpoint>(target).name);
  }

  std::optional<Failure> gave_up;
  while (!contest->winner && !gave_up) {
    // Looked at before every wait: a cancellation that met no pending operation, be it before this
    // dial began, has nobody else to tell.
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      gave_up = Failure::shutting_down;
      continue;
    }
    const Race::Step step = contest->race.next(Clock::now());
    if (const auto* start = std::get_if<Race::Start>(&step)) {
      contest->start(start->address);
    } else if (std::holds_alternative<Race::Abandon>(step)) {
      contest->abandon_oldest();
    } else if (const auto* give_up = std::get_if<Race::GiveUp>(&step)) {
      gave_up = give_up->failure;
    } else {
      // No signal can be lost: callbacks run only while this waits, and after it the whole state
      // is looked at again, whichever of timer and callback came first.
      contest->wake.expires_at(std::get<Race::Wait>(step).until);
      const auto [error] = co_await contest->wake.async_wait(as_result);
      static_cast<void>(error);
    }
  }

  const auto since = [](Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration_cast<std::chrono::microseconds>(to - from);
  };
  const Clock::time_point done = Clock::now();
  const Clock::time_point answered = contest->race.first_answer().value_or(done);
  result.resolve_time = since(began, answered);
  result.connect_time = since(answered, done);
  result.attempts = contest->connects;
  result.failure = gave_up.value_or(Failure::none);
  if (contest->winner) {
    if (place && contest->first_family_lost()) {
      memory_.learn(*place, contest->winner->remote.address.family(), done);
    }
    result.failure = Failure::none;
    result.remote = contest->winner->remote;
    result.local = contest->winner->local;
    result.socket.emplace(std::move(contest->winner->socket));
  }
  co_return result;
}

}  // namespace socks64::gateway
