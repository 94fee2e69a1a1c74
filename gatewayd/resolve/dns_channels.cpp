#include "resolve/dns_channels.hpp"

#include <algorithm>
#include <utility>

namespace socks64::gateway {
namespace {

constexpr std::chrono::seconds check_interval{1};

}  // namespace

DnsChannels::DnsChannels(asio::io_context& context, const ResolverConfig& config,
                         IsAwaited is_awaited)
    : context_(context),
      config_(config),
      is_awaited_(std::move(is_awaited)),
      busy_since_(Clock::now()),
      // Stamped before c-ares reads it: a write in between is then seen as one more change.
      resolv_conf_(FileStamp::of(config.resolv_conf)),
      checked_(busy_since_) {
  current_ = std::make_unique<CaresChannel>(context_, config_);
}

CaresChannel& DnsChannels::next() {
  const Clock::time_point now = Clock::now();
  std::erase_if(retired_, [](const auto& channel) { return channel->idle(); });
  follow_resolv_conf(now);
  change_port(now);
  ++queries_;
  return *current_;
}

/// Servers change under a daemon that runs for months: DHCP, VPNs, an empty file at boot. c-ares
/// does not look again, and takes no new list while queries are under way; so a new channel takes
/// over. A channel without use is tried again whatever the file says: descriptors or memory may
/// have run out just when it was made.
void DnsChannels::follow_resolv_conf(Clock::time_point now) {
  if (now - checked_ < check_interval) {
    return;
  }
  checked_ = now;
  const FileStamp stamp =
      config_.servers.empty() ? FileStamp::of(config_.resolv_conf) : FileStamp{};
  const bool changed = config_.servers.empty() && stamp != resolv_conf_;
  if (!changed && current_->usable()) {
    return;
  }
  auto fresh = std::make_unique<CaresChannel>(context_, config_);
  resolv_conf_ = stamp;
  replace(std::move(fresh), now);
}

void DnsChannels::change_port(Clock::time_point now) {
  if (current_->idle()) {
    // c-ares has closed its sockets: the next query has a new port anyway.
    queries_ = 0;
    busy_since_ = now;
    return;
  }
  const bool too_long = now - busy_since_ >= time_per_port;
  if (queries_ < queries_per_port && !too_long) {
    return;
  }
  // Where all places are taken by slow queries, a burst must not buy the right to throw the others
  // out: the current channel goes on until its time has passed, or until it holds as many queries
  // as may be awaited at all.
  const bool full = retired_.size() >= max_retired;
  if (full && !too_long && current_->waiting() < config_.max_in_flight) {
    return;
  }
  auto fresh = std::make_unique<CaresChannel>(context_, config_);
  if (!fresh->usable()) {
    return;  // no descriptor, no memory: better an old port than no answer
  }
  if (full) {
    make_room();
  }
  replace(std::move(fresh), now);
}

void DnsChannels::replace(std::unique_ptr<CaresChannel> fresh, Clock::time_point now) {
  retired_.push_back(std::move(fresh));
  std::swap(current_, retired_.back());
  queries_ = 0;
  busy_since_ = now;
}

/// A channel nobody waits for goes first: with questions that are asked and abandoned one could
/// otherwise push out those of everybody else.
void DnsChannels::make_room() {
  auto goes = std::ranges::find_if(retired_,
                                   [this](const auto& channel) { return !is_awaited_(*channel); });
  if (goes == retired_.end()) {
    goes = retired_.begin();
  }
  const std::unique_ptr<CaresChannel> gone = std::move(*goes);
  retired_.erase(goes);
}

void DnsChannels::close() noexcept {
  retired_.clear();
  current_.reset();
}

}  // namespace socks64::gateway
