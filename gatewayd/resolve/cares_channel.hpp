// c-ares, driven by Asio. One channel belongs to one io_context, and everything happens on the
// thread that runs it.
#ifndef SOCKS64_GATEWAYD_CARES_CHANNEL_HPP
#define SOCKS64_GATEWAYD_CARES_CHANNEL_HPP

#include <chrono>
#include <functional>
#include <memory>
#include <unordered_map>

#include <ares.h>
#include <asio/io_context.hpp>
#include <asio/posix/basic_stream_descriptor.hpp>

#include "dns/cares_translation.hpp"
#include "dns/dns_reply.hpp"
#include "loop/net.hpp"
#include "resolve/answer_cache.hpp"
#include "settings/resolver_config.hpp"

namespace socks64::gateway {

class CaresChannel {
 public:
  using OnReply = std::function<void(DnsReply)>;

  CaresChannel(asio::io_context& context, const ResolverConfig& config);
  /// Calls what waits with shutting_down; waits for nothing.
  ~CaresChannel();
  CaresChannel(const CaresChannel&) = delete;
  CaresChannel& operator=(const CaresChannel&) = delete;

  /// `on_reply` may be called from within.
  void query(const Question& question, OnReply on_reply);

  /// True when nothing waits: only then may it be destroyed without anybody noticing.
  [[nodiscard]] bool idle() const noexcept { return waiting_ == 0; }
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_; }
  /// False when c-ares could not start, or knows no server: every query fails at once.
  [[nodiscard]] bool usable() const noexcept { return channel_ != nullptr && has_servers_; }

 private:
  struct Query;
  struct Watch;

  void ask(std::unique_ptr<Query> query);
  static void on_result(void* query, int status, int timeouts, unsigned char* message, int size);
  static void on_socket_state(void* self, ares_socket_t socket, int readable, int writable);
  static void wait(const std::shared_ptr<Watch>& watch);
  void process(ares_socket_t readable, ares_socket_t writable);
  void arm_timer();

  asio::io_context& context_;
  Timer timer_;
  std::chrono::milliseconds patience_;  ///< the least time until a question times out
  CaresTranslation translation_;        ///< outlives the channel
  bool translated_ = false;             ///< what goes to the servers, and what comes
  ares_channel channel_ = nullptr;      ///< null: c-ares could not start
  bool has_servers_ = true;
  std::size_t waiting_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  ///< what an expired timer asks
  std::unordered_map<ares_socket_t, std::shared_ptr<Watch>> watches_;
};

}  // namespace socks64::gateway

#endif
