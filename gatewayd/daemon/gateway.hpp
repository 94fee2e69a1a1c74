// The composition root: what exists once, who runs on which thread, and the life cycle.
#ifndef SOCKS64_GATEWAYD_GATEWAY_HPP
#define SOCKS64_GATEWAYD_GATEWAY_HPP

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>

#include "accept/accepted.hpp"
#include "accept/client_limits.hpp"
#include "accept/limits.hpp"
#include "accept/listener.hpp"
#include "accept/user_limits.hpp"
#include "account/account.hpp"
#include "auth/password_pool.hpp"
#include "authorise/policy.hpp"
#include "authorise/refusal_hints.hpp"
#include "base/log.hpp"
#include "bind/expected_peer.hpp"
#include "config/config.hpp"
#include "daemon/worker.hpp"
#include "dial/dial.hpp"
#include "dial/look_up.hpp"
#include "resolve/resolve.hpp"
#include "udp/udp_association.hpp"

namespace socks64::gateway {

/// SIGTERM, SIGINT and SIGHUP wait from now on, for this thread and those that it starts: call it
/// before any thread exists. Gateway::run() takes them while it runs, so that none of them kills
/// the process before its first session or while its last records are being written.
void hold_signals() noexcept;

class Gateway {
 public:
  /// What the owner does on SIGHUP.
  struct OnReload {
    std::function<void()> reopen_logs;
    /// Reads the configuration as it is now. If that has errors, the result is nothing, the errors
    /// are in `problems`, and the gateway keeps the old configuration.
    std::function<std::optional<Config>(std::vector<std::string>& problems)> read_config;
  };

  /// What is referred to outlives the gateway.
  Gateway(const Config& config, Log& log, AccessLog& access_log, OnReload on_reload);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  /// Opens every listener; what went wrong, a line for each, or nothing.
  [[nodiscard]] std::vector<std::string> open();

  /// Runs until SIGTERM or SIGINT and the end of the drain:
  /// - listeners are closed, after what the kernel had accepted already is taken over;
  /// - sessions go on until they end by themselves or timeouts.drain is over;
  /// - then, or on a second signal, the rest is cancelled: each is reset and accounted for.
  /// False when sessions did not end even then: a defect. The gateway cannot be destroyed in that
  /// case; leave by std::_Exit.
  [[nodiscard]] bool run();

 private:
  /// The first worker's: what belongs to accepting is touched there alone.
  [[nodiscard]] Executor accepting() noexcept { return workers_.front()->executor(); }
  void deliver(Accepted accepted);
  void use_policy(Config config);
  void reload();
  void await_signal();
  void drain();
  void await_sessions();
  void cancel_sessions();
  void finish(bool clean);

  const Config& config_;
  Log& log_;
  OnReload on_reload_;
  RefusalHints hints_;
  std::shared_ptr<const Policy> policy_;
  unsigned threads_;
  Resolver resolver_;
  Dialer dialer_;
  LookUp look_up_;
  BindServices bind_;
  UdpService udp_;
  PasswordPool passwords_;
  ClientTable clients_;  ///< sessions count in these three
  UserCounts users_;
  SessionLimit limit_;
  asio::io_context context_{1};  ///< of the thread that calls run(): signals, and what they bring
  asio::basic_signal_set<Executor> signals_;
  Timer deadline_;  ///< of the drain, then of the cancellation
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<Endpoint> own_;  ///< those of them that are on TCP, as they were bound
  std::uint64_t last_id_ = 0;
  std::size_t next_worker_ = 0;
  bool draining_ = false;
  bool cancelling_ = false;
  bool clean_ = true;
};

}  // namespace socks64::gateway

#endif
