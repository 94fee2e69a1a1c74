// Which c-ares channel takes the next query, and when a new one takes over: because resolv.conf has
// changed, because the old one has used its source port for long enough, or because it could not
// start.
#ifndef SOCKS64_GATEWAYD_DNS_CHANNELS_HPP
#define SOCKS64_GATEWAYD_DNS_CHANNELS_HPP

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include <asio/io_context.hpp>

#include "base/file_stamp.hpp"
#include "loop/net.hpp"
#include "resolve/cares_channel.hpp"
#include "settings/resolver_config.hpp"

namespace socks64::gateway {

/// Lives on the thread of its io_context.
class DnsChannels {
 public:
  /// Does anybody wait for a query of this channel?
  using IsAwaited = std::function<bool(const CaresChannel&)>;

  /// c-ares 1.18 keeps one socket, and so one source port, per server until no query is under way;
  /// who keeps one query open keeps the port. RFC 5452 section 9.2 asks for a port that cannot be
  /// known in advance, so a channel that never rests is retired after this many queries, or this
  /// long, and finishes what it has.
  static constexpr std::size_t queries_per_port = 64;
  static constexpr std::chrono::seconds time_per_port{1};
  /// Each holds one socket per server for as long as its slowest query.
  static constexpr std::size_t max_retired = 16;

  /// `is_awaited` is called from within next().
  DnsChannels(asio::io_context& context, const ResolverConfig& config, IsAwaited is_awaited);

  /// The channel for one more query. May destroy a retired channel, which calls what waits there
  /// with shutting_down: these queries are to be put again.
  [[nodiscard]] CaresChannel& next();

  /// Calls everything that waits with shutting_down; waits for nothing.
  void close() noexcept;

 private:
  void follow_resolv_conf(Clock::time_point now);
  void change_port(Clock::time_point now);
  void replace(std::unique_ptr<CaresChannel> fresh, Clock::time_point now);
  void make_room();

  asio::io_context& context_;
  const ResolverConfig& config_;
  IsAwaited is_awaited_;
  std::unique_ptr<CaresChannel> current_;
  std::vector<std::unique_ptr<CaresChannel>> retired_;  ///< the oldest first
  std::size_t queries_ = 0;                             ///< of the current one since it last rested
  Clock::time_point busy_since_;
  FileStamp resolv_conf_;
  Clock::time_point checked_;
};

}  // namespace socks64::gateway

#endif
