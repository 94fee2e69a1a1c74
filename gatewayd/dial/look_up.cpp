#include "dial/look_up.hpp"

#include <optional>
#include <variant>

#include <asio/this_coro.hpp>

#include "dial/candidates.hpp"

namespace socks64::gateway {
namespace {

std::chrono::microseconds since(Clock::time_point began) noexcept {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began);
}

/// A route is asked for by address and port; the port matters to none.
constexpr Port any_port = 53;

}  // namespace

Task<LookUpResult> LookUp::address_of(const Target& target, const AddressFilter& permit,
                                      DialWishes wishes) const {
  LookUpResult result;
  if (const std::optional<IpAddress> literal = literal_of(target)) {
    result.failure = Failure::none;
    result.found = Endpoint{*literal, 0};
    co_return result;
  }
  const Executor executor = co_await asio::this_coro::executor;
  const Clock::time_point began = Clock::now();
  // The Race decides as it does for a dial; the address that it would start with is the answer.
  Way way(config_, wishes);
  // One address is all that the answer has room for, and clients made for Tor, which answers alike,
  // may read nothing but an IPv4 one: torsocks fails on the other.
  if (way.prefer == FamilyPreference::system) {
    way.prefer = FamilyPreference::ipv4;
  }
  Candidates candidates(executor, way, any_port, permit, std::nullopt);
  candidates.ask(resolver_, std::get<NamedEndpoint>(target).name);
  for (bool over = false; !over;) {
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      result.failure = Failure::shutting_down;
      break;
    }
    const Race::Step step = candidates.race.next(Clock::now());
    over = true;
    if (const auto* start = std::get_if<Race::Start>(&step)) {
      result.failure = Failure::none;
      result.found = Endpoint{start->address, 0};
    } else if (const auto* give_up = std::get_if<Race::GiveUp>(&step)) {
      result.failure = give_up->failure;
    } else if (const auto* wait = std::get_if<Race::Wait>(&step)) {
      over = false;
      candidates.wake.expires_at(wait->until);
      const auto [error] = co_await candidates.wake.async_wait(as_result);
      static_cast<void>(error);
    }
  }
  result.time = since(began);
  co_return result;
}

Task<LookUpResult> LookUp::name_of(const Target& target) const {
  LookUpResult result;
  const std::optional<IpAddress> address = literal_of(target);
  if (!address) {
    result.failure = Failure::name_invalid;
    co_return result;
  }
  const Executor executor = co_await asio::this_coro::executor;
  const Clock::time_point began = Clock::now();
  Timer wake(executor, began + config_.connect_timeout);
  Resolver::Inquiry inquiry;
  std::optional<Answer> answer;
  answer = resolver_.ask_name(
      *address, executor,
      [&answer, &wake](const Answer& given) {
        answer = given;
        wake.cancel();
      },
      inquiry);
  if (!answer) {
    const asio::cancellation_state before = co_await asio::this_coro::cancellation_state;
    if (before.cancelled() == asio::cancellation_type::none) {
      const auto [error] = co_await wake.async_wait(as_result);
      static_cast<void>(error);
    }
  }
  const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none) {
    result.failure = Failure::shutting_down;
  } else if (!answer) {
    result.failure = Failure::name_timeout;
  } else {
    result.failure = answer->failure;
  }
  if (result.failure == Failure::none) {
    // What comes from DNS may be longer than SOCKS can carry.
    if (const Result<DomainName> name = DomainName::from(answer->name)) {
      result.found = NamedEndpoint{*name, 0};
    } else {
      result.failure = Failure::name_failed;
    }
  }
  result.time = since(began);
  co_return result;
}

}  // namespace socks64::gateway
