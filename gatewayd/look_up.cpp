#include "look_up.hpp"

#include <array>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include <asio/this_coro.hpp>

#include "dns_name.hpp"
#include "race.hpp"
#include "route.hpp"

namespace socks64::gateway {
namespace {

std::optional<IpAddress> literal_of(const Target& target) noexcept {
  if (const auto* endpoint = std::get_if<Endpoint>(&target)) return endpoint->address;
  return literal_from(std::get<NamedEndpoint>(target).name.view());
}

std::chrono::microseconds since(Clock::time_point began) noexcept {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began);
}

/// The questions of one look-up. The Race decides as it does for a dial; the address that it would
/// start with is the answer.
class Questions {
 public:
  Questions(const Executor& executor, const RaceTimes& times, FamilyPreference prefer)
      : race(times, prefer, Clock::now()), wake(executor), executor_(executor) {}
  Questions(const Questions&) = delete;
  Questions& operator=(const Questions&) = delete;

  void ask(Resolver& resolver, const DomainName& name) {
    constexpr std::array families{Family::ipv6, Family::ipv4};
    for (const Family family : families)
      race.asked(family);
    for (std::size_t i = 0; i < families.size(); ++i) {
      const Family family = families[i];
      // An inquiry does not call once it is destroyed: a plain `this` is safe.
      const std::optional<Answer> answer = resolver.ask(
          name, family, executor_,
          [this, family](const Answer& given) {
            take(family, given);
            wake.cancel();
          },
          inquiries_[i]);
      if (answer) take(family, *answer);
    }
  }

  Race race;
  Timer wake;

 private:
  void take(Family family, const Answer& answer) {
    std::vector<Destination> destinations;
    for (const IpAddress& address : answer.addresses) {
      // The port matters to no route; 0 is not one that can be asked about.
      const IpAddress plain = address.unmapped();
      destinations.push_back({plain, source_towards({plain, 53})});
    }
    race.answered(family, answer.failure, std::move(destinations), Clock::now());
  }

  Executor executor_;
  std::array<Resolver::Inquiry, 2> inquiries_;
};

}  // namespace

Task<LookUpResult> LookUp::address_of(const Target& target) const {
  LookUpResult result;
  if (const std::optional<IpAddress> literal = literal_of(target)) {
    result.failure = Failure::none;
    result.found = Endpoint{*literal, 0};
    co_return result;
  }
  const Executor executor = co_await asio::this_coro::executor;
  const Clock::time_point began = Clock::now();
  Questions questions(executor,
                      {config_.connect_timeout, config_.resolution_delay, config_.attempt_delay},
                      config_.prefer);
  questions.ask(resolver_, std::get<NamedEndpoint>(target).name);
  for (bool over = false; !over;) {
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      result.failure = Failure::shutting_down;
      break;
    }
    const Race::Step step = questions.race.next(Clock::now());
    over = true;
    if (const auto* start = std::get_if<Race::Start>(&step)) {
      result.failure = Failure::none;
      result.found = Endpoint{start->address, 0};
    } else if (const auto* give_up = std::get_if<Race::GiveUp>(&step)) {
      result.failure = give_up->failure;
    } else if (const auto* wait = std::get_if<Race::Wait>(&step)) {
      over = false;
      questions.wake.expires_at(wait->until);
      const auto [error] = co_await questions.wake.async_wait(as_result);
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
