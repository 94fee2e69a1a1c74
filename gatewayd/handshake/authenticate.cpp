#include "handshake/authenticate.hpp"

#include <memory>
#include <optional>

#include <asio/post.hpp>
#include <asio/this_coro.hpp>

namespace socks64::gateway {
namespace {

/// What a verdict finds of its session: on the session's own thread, if it is still there.
struct Expectation {
  explicit Expectation(const Executor& executor) : arrival(executor, Timer::time_point::max()) {}

  Timer arrival;  ///< never expires: the condition variable of a coroutine
  std::optional<PasswordVerdict> verdict;
};

AuthResult result_of(PasswordVerdict verdict, UserTable::Entry::Kind kind) noexcept {
  switch (verdict) {
    case PasswordVerdict::good:
      return AuthResult::good;
    case PasswordVerdict::busy:
      return AuthResult::busy;
    case PasswordVerdict::wrong:
    case PasswordVerdict::broken:
      break;
  }
  switch (kind) {
    case UserTable::Entry::Kind::unknown:
      return AuthResult::unknown_user;
    case UserTable::Entry::Kind::locked:
      return AuthResult::locked_user;
    case UserTable::Entry::Kind::active:
      break;
  }
  return verdict == PasswordVerdict::broken ? AuthResult::broken_hash : AuthResult::wrong_password;
}

}  // namespace

Task<AuthResult> authenticate(const AuthServices& services, const AuthPolicy& policy,
                              const Client& from, const UserPass& credentials,
                              DeadlineQueue::Entry& deadline) {
  const Executor executor = co_await asio::this_coro::executor;
  const UserTable::Entry entry = policy.users->find(credentials.user, services.passwords.key());
  const std::string source = turn_of(from);
  const auto expectation = std::make_shared<Expectation>(executor);
  std::optional<PasswordVerdict> known;
  PasswordPool::Inquiry inquiry;
  {
    const Secret password(credentials.password);
    const PasswordPool::Question question{source,
                                          credentials.user,
                                          password,
                                          entry.hash,
                                          entry.kind == UserTable::Entry::Kind::active,
                                          policy.cache_time};
    PasswordPool::OnVerdict on_verdict =
        [executor, waiting = std::weak_ptr(expectation)](PasswordVerdict verdict) {
          asio::post(executor, [waiting, verdict] {
            if (const std::shared_ptr<Expectation> alive = waiting.lock()) {
              alive->verdict = verdict;
              alive->arrival.cancel();
            }
          });
        };
    known = services.passwords.ask(question, std::move(on_verdict), inquiry);
  }
  if (known) {
    co_return result_of(*known, entry.kind);
  }
  const DeadlineQueue::Alarm alarm(deadline, expectation->arrival);
  // A cancellation that came before this wait would never be told again.
  const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none || deadline.expired()) {
    co_return AuthResult::interrupted;
  }
  const auto [error] = co_await expectation->arrival.async_wait(as_result);
  static_cast<void>(error);  // aborted in any case: by the verdict, the deadline or a cancellation
  if (!expectation->verdict) {
    co_return AuthResult::interrupted;
  }
  co_return result_of(*expectation->verdict, entry.kind);
}

}  // namespace socks64::gateway
