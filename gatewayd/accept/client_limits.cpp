#include "accept/client_limits.hpp"

#include <new>
#include <random>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "socks64/prefix.hpp"

namespace socks64::gateway {
namespace {

constexpr std::chrono::seconds report_interval{10};
constexpr unsigned looked_at = 8;  // of the oldest clients, for each that is new

enum Kind : std::uint64_t { ipv4, ipv6, unix_user };

std::array<std::uint64_t, 3> make_secret() {
  std::random_device random;
  const auto word = [&random] { return std::uint64_t{random()} << 32U | random(); };
  return {word(), word(), word()};
}

std::uint64_t fold(std::uint64_t a, std::uint64_t b) noexcept {
  __extension__ using Wide = unsigned __int128;
  const Wide product = Wide{a} * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

}  // namespace

std::size_t ClientTable::Hash::operator()(const Key& key) const noexcept {
  return fold(fold(key.high ^ secret[0], key.low ^ secret[1]) ^ key.kind, secret[2] | 1U);
}

std::string ClientTable::Refusals::text() const {
  return fmt::format(
      "{} connections were refused since the last such line: {} over limits.sessions_per_client, "
      "{} "
      "over limits.rate_per_client; the last from {}",
      too_many + too_fast, too_many, too_fast, last.text().view());
}

ClientTable::ClientTable(const ClientLimits& limits, std::size_t capacity)
    : limits_(limits), capacity_(capacity), clients_(0, Hash{make_secret()}) {}

ClientTable::Key ClientTable::key_of(const Client& client) const noexcept {
  if (client.process) {
    return {0, client.process->uid, unix_user};
  }
  const IpAddress& address = client.endpoint.address;
  const bool v4 = address.is_v4();
  const Result<Prefix> block = Prefix::make(address, v4 ? limits_.prefix_v4 : limits_.prefix_v6);
  const IpAddress& network = block ? block->network() : address;
  if (v4) {
    return {0, network.v4_value(), ipv4};
  }
  Key key{0, 0, ipv6};
  const std::span<const std::uint8_t> octets = network.bytes();
  for (std::size_t i = 0; i < 8; ++i) {
    key.high = key.high << 8U | octets[i];
    key.low = key.low << 8U | octets[8 + i];
  }
  return key;
}

ClientTable::Verdict ClientTable::admit(const Client& client, Ticket<Counter>& ticket,
                                        Clock::time_point now) noexcept {
  if (!limits_.any()) {
    return Verdict::admitted;
  }
  Record& record = record_of(key_of(client), now);
  Verdict verdict = Verdict::admitted;
  if (limits_.sessions != 0 && record.sessions.count() >= limits_.sessions) {
    verdict = Verdict::too_many;
    ++refusals_.too_many;
  } else if (!record.rate.take(limits_.rate, now)) {
    verdict = Verdict::too_fast;
    ++refusals_.too_fast;
  }
  if (verdict == Verdict::admitted) {
    ticket = record.sessions.add();
  } else {
    refusals_.last = client;
  }
  return verdict;
}

ClientTable::Record& ClientTable::record_of(const Key& key, Clock::time_point now) noexcept {
  const auto known = clients_.find(key);
  if (known != clients_.end()) {
    unlink(known->second);
    link_newest(known->second);
    return known->second;
  }
  forget(now);
  if (clients_.size() < capacity_) {
    try {
      const auto added = clients_.try_emplace(key).first;
      added->second.key = &added->first;
      link_newest(added->second);
      return added->second;
    } catch (const std::bad_alloc&) {
      // As when the table is full.
    }
  }
  return common_[clients_.hash_function()(key) % common_.size()];
}

/// A few at a time: whoever accepts is never late, and each newcomer makes room for several.
void ClientTable::forget(Clock::time_point now) noexcept {
  for (unsigned i = 0; i < looked_at && oldest_ != nullptr; ++i) {
    Record& record = *oldest_;
    unlink(record);
    if (record.worthless(now)) {
      clients_.erase(*record.key);
    } else {
      link_newest(record);  // its turn comes again
    }
  }
}

void ClientTable::unlink(Record& record) noexcept {
  (record.older != nullptr ? record.older->newer : oldest_) = record.newer;
  (record.newer != nullptr ? record.newer->older : newest_) = record.older;
  record.older = record.newer = nullptr;
}

void ClientTable::link_newest(Record& record) noexcept {
  record.older = newest_;
  (newest_ != nullptr ? newest_->newer : oldest_) = &record;
  newest_ = &record;
}

std::optional<ClientTable::Refusals> ClientTable::report_refusals(Clock::time_point now) noexcept {
  if (refusals_.too_many + refusals_.too_fast == 0 || now < next_report_) {
    return std::nullopt;
  }
  next_report_ = now + report_interval;
  return std::exchange(refusals_, Refusals{});
}

}  // namespace socks64::gateway
