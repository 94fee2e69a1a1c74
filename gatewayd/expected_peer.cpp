#include "expected_peer.hpp"

#include <array>
#include <cstddef>
#include <utility>
#include <variant>
#include <vector>

#include <asio/this_coro.hpp>

#include "dns_name.hpp"
#include "race.hpp"

namespace socks64::gateway {
namespace {

std::optional<IpAddress> literal_of(const Target& target) noexcept {
  if (const auto* endpoint = std::get_if<Endpoint>(&target)) return endpoint->address;
  return literal_from(std::get<NamedEndpoint>(target).name.view());
}

/// The questions about a name. The Race decides as it does for a dial, except that an attempt is a
/// look at the routing table.
class Candidates {
 public:
  Candidates(const Executor& executor, const BindServices& services, Port port,
             const AddressFilter& permit)
      : race({services.dial.connect_timeout, services.dial.resolution_delay,
              services.dial.attempt_delay},
             services.dial.prefer, Clock::now()),
        wake(executor),
        executor_(executor),
        services_(services),
        port_(port),
        permit_(permit) {}
  Candidates(const Candidates&) = delete;
  Candidates& operator=(const Candidates&) = delete;

  void ask(const DomainName& name) {
    constexpr std::array families{Family::ipv6, Family::ipv4};
    for (const Family family : families)
      race.asked(family);
    for (std::size_t i = 0; i < families.size(); ++i) {
      const Family family = families[i];
      // An inquiry does not call once it is destroyed: a plain `this` is safe.
      const std::optional<Answer> answer = services_.resolver.ask(
          name, family, executor_,
          [this, family](const Answer& given) {
            take(family, given);
            wake.cancel();
          },
          inquiries_[i]);
      if (answer) take(family, *answer);
    }
  }

  /// What may be used of the answers so far.
  [[nodiscard]] std::vector<IpAddress> of(Family family) const {
    std::vector<IpAddress> addresses;
    for (const IpAddress& address : permitted_) {
      if (address.family() == family) addresses.push_back(address);
    }
    return addresses;
  }

  Race race;
  Timer wake;

 private:
  void take(Family family, const Answer& answer) {
    Failure failure = answer.failure;
    std::vector<Destination> destinations;
    for (const IpAddress& address : answer.addresses) {
      const IpAddress plain = address.unmapped();
      if (!permit_({plain, port_})) {
        failure = Failure::denied;
        continue;
      }
      permitted_.push_back(plain);
      destinations.push_back({plain, address_towards(services_.config, plain)});
    }
    race.answered(family, failure, std::move(destinations), Clock::now());
  }

  Executor executor_;
  const BindServices& services_;
  Port port_;
  const AddressFilter& permit_;
  std::vector<IpAddress> permitted_;
  std::array<Resolver::Inquiry, 2> inquiries_;
};

void found(Expectation& expected, const std::optional<IpAddress>& local) {
  expected.failure = local ? Failure::none : Failure::network_unreachable;
  if (local) expected.local = *local;
}

}  // namespace

Task<Expectation> expect_peer(const BindServices& services, const Target& target,
                              const AddressFilter& permit, std::optional<IpAddress> client) {
  Expectation expected;
  const Port port = port_of(target);
  if (services.config.exact_port) expected.peer.port = port;
  if (const std::optional<IpAddress> literal = literal_of(target)) {
    const IpAddress address = literal->unmapped();
    if (address.is_unspecified()) {
      found(expected, address_for_anybody(services.config, address.family(), client));
    } else {
      // The address was judged with the request; the peer will be, with its port, when it is there.
      expected.peer.addresses.push_back(address);
      found(expected, address_towards(services.config, address));
    }
    co_return expected;
  }

  const Executor executor = co_await asio::this_coro::executor;
  const Clock::time_point began = Clock::now();
  Candidates candidates(executor, services, port, permit);
  candidates.ask(std::get<NamedEndpoint>(target).name);
  for (bool over = false; !over;) {
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      expected.failure = Failure::shutting_down;
      break;
    }
    const Race::Step step = candidates.race.next(Clock::now());
    if (const auto* start = std::get_if<Race::Start>(&step)) {
      found(expected, address_towards(services.config, start->address));
      over = expected.failure == Failure::none;
      if (over) {
        expected.peer.addresses = candidates.of(start->address.family());
      } else {
        candidates.race.attempt_failed(expected.failure, Clock::now());
      }
    } else if (const auto* give_up = std::get_if<Race::GiveUp>(&step)) {
      expected.failure = give_up->failure;
      over = true;
    } else if (const auto* wait = std::get_if<Race::Wait>(&step)) {
      candidates.wake.expires_at(wait->until);
      const auto [error] = co_await candidates.wake.async_wait(as_result);
      static_cast<void>(error);
    }
  }
  expected.resolve_time =
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began);
  co_return expected;
}

}  // namespace socks64::gateway
