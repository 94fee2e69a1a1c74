#include "udp/udp_names.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/dns_name.hpp"
#include "dial/candidates.hpp"

namespace socks64::gateway {

/// One look-up. The Race decides as it does for a dial (RFC 8305 section 3, RFC 6724); the address
/// that it would start with is the answer.
class UdpNames::Question : public std::enable_shared_from_this<Question> {
 public:
  Question(UdpNames& names, Entry& entry, const NamedEndpoint& target)
      : names_(names),
        entry_(entry),
        target_(target),
        permit_([this](const Endpoint& address) { return names_.permit_(target_, address); }),
        candidates_(names.executor_, Way(names.dial_, {}), target.port, permit_, std::nullopt) {}

  void ask() {
    candidates_.ask(names_.resolver_, target_.name);
    step();
  }

 private:
  void step() {
    const std::shared_ptr<Question> alive = shared_from_this();  // settling ends its other owner
    const Race::Step step = candidates_.race.next(Clock::now());
    if (const auto* start = std::get_if<Race::Start>(&step)) {
      names_.settle(entry_, start->address, Failure::none);
    } else if (const auto* give_up = std::get_if<Race::GiveUp>(&step)) {
      names_.settle(entry_, std::nullopt, give_up->failure);
    } else if (const auto* wait = std::get_if<Race::Wait>(&step)) {
      candidates_.wake.expires_at(wait->until);
      candidates_.wake.async_wait([question = weak_from_this()](const asio::error_code&) {
        // Whether it expired or was cancelled by an answer: the race knows what is next. When it
        // was destroyed, nobody is left to ask.
        if (const std::shared_ptr<Question> still = question.lock()) {
          still->step();
        }
      });
    }
  }

  UdpNames& names_;
  Entry& entry_;
  NamedEndpoint target_;
  AddressFilter permit_;
  Candidates candidates_;
};

UdpNames::UdpNames(const Executor& executor, Resolver& resolver, const DialConfig& dial,
                   std::size_t& waiting_octets, Permit permit,
                   std::function<void(Settled)> on_settled)
    : executor_(executor),
      resolver_(resolver),
      dial_(dial),
      waiting_octets_(waiting_octets),
      permit_(std::move(permit)),
      on_settled_(std::move(on_settled)) {}

UdpNames::Entry* UdpNames::entry_of(const DomainName& name) {
  if (!entries_.empty() && *entries_.front().name == name) {
    return &entries_.front();
  }
  const std::optional<std::string> key = canonical_name(name.view());
  if (!key) {
    return nullptr;
  }
  const auto found = std::ranges::find(entries_, *key, &Entry::key);
  if (found == entries_.end()) {
    return nullptr;
  }
  entries_.splice(entries_.begin(), entries_, found);
  return &entries_.front();
}

UdpNames::Known UdpNames::find(const DomainName& name, Clock::time_point now) {
  Known known;
  Entry* const entry = entry_of(name);
  if (entry == nullptr) {
    return known;
  }
  known.state = entry->state;
  if (entry->state == State::known) {
    if (now - entry->used > rest) {
      known.state = State::unknown;
    } else {
      entry->used = now;
      known.address = entry->address;
      known.name = entry->name;
    }
  } else if (entry->state == State::waiting) {
    // A look-up that memory ran out under does not end by itself.
    if (now - entry->used > dial_.connect_timeout + retry) {
      known.state = State::unknown;
    }
  } else if (now - entry->used > retry) {
    known.state = State::unknown;
  }
  return known;
}

/// The one that was used longest ago goes, but none that is being looked up.
bool UdpNames::make_room() {
  if (entries_.size() < max_names) {
    return true;
  }
  const auto found = std::find_if(entries_.rbegin(), entries_.rend(),
                                  [](const Entry& entry) { return entry.state != State::waiting; });
  if (found == entries_.rend()) {
    return false;
  }
  entries_.erase(std::prev(found.base()));
  return true;
}

UdpNames::State UdpNames::begin(const NamedEndpoint& target, Clock::time_point now) {
  Entry* entry = entry_of(target.name);
  if (entry == nullptr) {
    std::optional<std::string> key = canonical_name(target.name.view());
    if (!key) {
      return State::failed;
    }
    if (!make_room()) {
      return State::waiting;
    }
    auto name = std::make_shared<const DomainName>(target.name);
    entry = &entries_.emplace_front();
    entry->key = std::move(*key);
    entry->name = std::move(name);
  }
  entry->state = State::waiting;
  entry->used = now;
  entry->question = std::make_shared<Question>(*this, *entry, target);
  entry->question->ask();
  return entry->state;
}

bool UdpNames::keep(const NamedEndpoint& target, Bytes payload) {
  Entry* const entry = entry_of(target.name);
  if (entry == nullptr || entry->state != State::waiting || entry->waiting.size() >= max_waiting ||
      entry->octets + payload.size() > max_waiting_octets ||
      waiting_octets_ + payload.size() > max_worker_octets) {
    return false;
  }
  entry->waiting.push_back({target.port, {payload.begin(), payload.end()}});
  entry->octets += payload.size();
  waiting_octets_ += payload.size();
  return true;
}

void UdpNames::settle(Entry& entry, std::optional<IpAddress> address, Failure failure) {
  entry.used = Clock::now();
  entry.question.reset();
  if (address) {
    entry.state = State::known;
    entry.address = *address;
  } else {
    entry.state = failure == Failure::denied ? State::denied : State::failed;
  }
  Settled settled{entry.name, address, failure == Failure::denied,
                  std::exchange(entry.waiting, {})};
  waiting_octets_ -= std::exchange(entry.octets, 0);
  on_settled_(std::move(settled));
}

std::size_t UdpNames::clear() noexcept {
  std::size_t forgotten = 0;
  for (const Entry& entry : entries_) {
    forgotten += entry.waiting.size();
    waiting_octets_ -= entry.octets;
  }
  entries_.clear();
  return forgotten;
}

}  // namespace socks64::gateway
