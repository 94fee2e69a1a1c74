#include "bind/expected_peer.hpp"

#include <algorithm>
#include <cerrno>
#include <variant>
#include <vector>

#include <asio/this_coro.hpp>

#include "dial/candidates.hpp"

namespace socks64::gateway {
namespace {

/// As for a dial, but for [bind] address.
Way way_of(const BindServices& services, const DialWishes& wishes) {
  Way way(services.dial, wishes);
  const AddressPair& address = services.config.address;
  if (address.v4) {
    way.source.v4 = address.v4;
  }
  if (address.v6) {
    way.source.v6 = address.v6;
  }
  return way;
}

/// Right behind the question for `local`, whose errno tells a missing route from one that could not
/// be asked for.
void found(Expectation& expected, const std::optional<IpAddress>& local) {
  if (local) {
    expected.failure = Failure::none;
    expected.local = *local;
  } else {
    const bool not_asked = failure_from_errno(errno) == Failure::no_resources;
    expected.failure = not_asked ? Failure::no_resources : Failure::network_unreachable;
  }
}

void expect_literal(Expectation& expected, const Way& way, const IpAddress& address,
                    const std::optional<IpAddress>& client) {
  if (!way.has(address.family())) {
    expected.failure = Failure::denied;
  } else if (address.is_unspecified()) {
    found(expected, address_for_anybody(address.family(), way.source, client));
  } else {
    // The address was judged with the request; the peer will be, with its port, when it is there.
    expected.peer.addresses.push_back(address);
    found(expected, address_towards(address, way.source));
  }
}

}  // namespace

Task<Expectation> expect_peer(const BindServices& services, const Target& target,
                              const AddressFilter& permit, std::optional<IpAddress> client,
                              DialWishes wishes) {
  Expectation expected;
  const Way way = way_of(services, wishes);
  if (services.config.exact_port) {
    expected.peer.port = port_of(target);
  }
  if (const std::optional<IpAddress> literal = literal_of(target)) {
    expect_literal(expected, way, literal->unmapped(), client);
    co_return expected;
  }

  const Executor executor = co_await asio::this_coro::executor;
  const Clock::time_point began = Clock::now();
  std::vector<IpAddress> permitted;
  const AddressFilter note = [&permit, &permitted](const Endpoint& address) {
    if (!permit(address)) {
      return false;
    }
    permitted.push_back(address.address);
    return true;
  };
  // The Race decides as it does for a dial, except that an attempt is a look at the routing table.
  Candidates candidates(executor, way, port_of(target), note, std::nullopt);
  candidates.ask(services.resolver, std::get<NamedEndpoint>(target).name);
  for (bool over = false; !over;) {
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      expected.failure = Failure::shutting_down;
      break;
    }
    const Race::Step step = candidates.race.next(Clock::now());
    if (const auto* start = std::get_if<Race::Start>(&step)) {
      found(expected, address_towards(start->address, way.source));
      if (expected.failure != Failure::none) {
        candidates.race.attempt_failed(expected.failure, Clock::now());
        continue;
      }
      over = true;
      std::erase_if(permitted, [start](const IpAddress& address) {
        return address.family() != start->address.family();
      });
      expected.peer.addresses = permitted;
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
