#include "dial/candidates.hpp"

#include <utility>
#include <variant>

#include "base/dns_name.hpp"

namespace socks64::gateway {

Way::Way(const DialConfig& config, const DialWishes& wishes)
    : times{config.connect_timeout, config.resolution_delay, config.attempt_delay},
      prefer(wishes.prefer.value_or(config.prefer)),
      ipv4(config.ipv4 && wishes.ipv4),
      ipv6(config.ipv6 && wishes.ipv6),
      source(config.source),
      source_for(wishes.source_for) {
  if (wishes.source_v4) {
    source.v4 = wishes.source_v4;
  }
  if (wishes.source_v6) {
    source.v6 = wishes.source_v6;
  }
}

std::optional<IpAddress> literal_of(const Target& target) noexcept {
  if (const auto* endpoint = std::get_if<Endpoint>(&target)) {
    return endpoint->address;
  }
  return literal_from(std::get<NamedEndpoint>(target).name.view());
}

Candidates::Candidates(const Executor& executor, Way way, Port port, const AddressFilter& permit,
                       std::optional<Family> start_with)
    : race(way.times, way.prefer, Clock::now(), start_with),
      wake(executor),
      executor_(executor),
      way_(std::move(way)),
      port_(port),
      permit_(permit) {}

bool Candidates::permits(const Endpoint& endpoint) const {
  return way_.has(endpoint.address.family()) && (!permit_ || permit_(endpoint));
}

Source Candidates::source_for(const Endpoint& endpoint) const {
  Source source = way_.source;
  if (way_.source_for != nullptr) {
    if (const std::optional<IpAddress> wanted = (*way_.source_for)(endpoint)) {
      (wanted->is_v4() ? source.v4 : source.v6) = wanted;
    }
  }
  return source;
}

void Candidates::ask(Resolver& resolver, const DomainName& name) {
  // RFC 8305 section 3: AAAA first, A right behind it.
  constexpr std::array families{Family::ipv6, Family::ipv4};
  for (const Family family : families) {
    if (way_.has(family)) {
      race.asked(family);
    }
  }
  if (!way_.ipv4 && !way_.ipv6) {
    race.answered(Family::ipv6, Failure::denied, {}, Clock::now());
  }
  for (std::size_t i = 0; i < families.size(); ++i) {
    const Family family = families[i];
    if (!way_.has(family)) {
      continue;
    }
    // An inquiry does not call once it is withdrawn: a plain `this` is safe.
    const std::optional<Answer> answer = resolver.ask(
        name, family, executor_,
        [this, family](const Answer& given) {
          take(family, given.failure, given.addresses);
          wake.cancel();
        },
        inquiries_[i]);
    if (answer) {
      take(family, answer->failure, answer->addresses);
    }
  }
}

void Candidates::take(Family family, Failure failure, const std::vector<IpAddress>& addresses) {
  std::vector<Destination> destinations;
  for (const IpAddress& address : addresses) {
    // A name may hold ::ffff:127.0.0.1 as AAAA; it is judged as what it reaches.
    const Endpoint endpoint{address.unmapped(), port_};
    // RFC 8305 section 4 orders what may be used; what may not never enters.
    if (!permits(endpoint)) {
      failure = Failure::denied;
      continue;
    }
    destinations.push_back({endpoint.address, source_towards(endpoint, source_for(endpoint))});
  }
  race.answered(family, failure, std::move(destinations), Clock::now());
}

void Candidates::literal(const IpAddress& literal) {
  const Endpoint endpoint{literal.unmapped(), port_};
  std::vector<Destination> only;
  Failure failure = Failure::denied;
  if (permits(endpoint)) {
    failure = Failure::none;
    // Nothing to order: no need to ask for routes.
    only.push_back({endpoint.address, std::nullopt});
  }
  race.answered(endpoint.address.family(), failure, std::move(only), Clock::now());
}

void Candidates::withdraw() noexcept {
  for (Resolver::Inquiry& inquiry : inquiries_) {
    inquiry.withdraw();
  }
}

}  // namespace socks64::gateway
