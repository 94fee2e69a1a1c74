#include "daemon/gateway.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <exception>
#include <limits>
#include <sched.h>
#include <sys/resource.h>
#include <thread>
#include <utility>

#include <asio/post.hpp>

namespace socks64::gateway {
namespace {

// What a cancelled session needs to notice: one turn of its event loop. More is a defect.
constexpr std::chrono::seconds cancel_time{5};

/// The processors that we may use, which in a container are not those that there are.
unsigned processors() noexcept {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) {
    return static_cast<unsigned>(std::max(CPU_COUNT(&set), 1));
  }
  return std::max(std::thread::hardware_concurrency(), 1U);
}

/// Raises the soft limit to the hard one: two descriptors a session are soon more than 1024.
std::size_t raise_descriptor_limit() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return 1024;
  }
  if (limit.rlim_cur < limit.rlim_max) {
    rlimit raised = limit;
    raised.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) {
      limit = raised;
    }
  }
  return limit.rlim_cur;
}

std::size_t association_limit(const Config& config, std::size_t descriptors) {
  return config.commands.udp
             ? associations_for_descriptors(config.limits.udp.associations, descriptors)
             : 0;
}

/// More sessions than there are descriptors for would be accepted only to fail: they had better
/// wait in the kernel's queue.
std::size_t session_limit(const Config& config, unsigned threads, Log& log) {
  const std::size_t descriptors = raise_descriptor_limit();
  const std::size_t allowed =
      sessions_for_descriptors(descriptors, threads, association_limit(config, descriptors));
  const std::size_t wanted = config.limits.sessions;
  if (wanted > allowed) {
    log.warning("limits.sessions is {}, but a limit of {} open files allows only {} sessions",
                wanted, descriptors, allowed);
  }
  return wanted == 0 ? allowed : std::min(wanted, allowed);
}

/// A hash keeps a processor, and yescrypt 16 MiB: few at once, two at least (PasswordPool::Config).
PasswordPool::Config password_config(unsigned threads) {
  PasswordPool::Config config;
  config.threads = std::clamp(threads, 2U, 4U);
  return config;
}

/// What a reload says of listeners, in the order of those that run: sessions know theirs by its
/// index. One that runs and is listed no more would be left without an answer to who may use it: a
/// problem.
std::vector<ListenerConfig> in_order_of(const std::vector<ListenerConfig>& running,
                                        std::vector<ListenerConfig> wanted, Log& log,
                                        std::vector<std::string>& problems) {
  std::vector<ListenerConfig> ordered;
  for (const ListenerConfig& listener : running) {
    const auto same = std::find_if(
        wanted.begin(), wanted.end(),
        [&listener](const ListenerConfig& other) { return other.address == listener.address; });
    if (same == wanted.end()) {
      problems.push_back(
          fmt::format("listener {} is running but is no longer in the configuration; listeners "
                      "change only at a restart",
                      listener.address.text()));
    } else {
      ordered.push_back(std::move(*same));
      wanted.erase(same);  // port 0 may be there several times
    }
  }
  for (const ListenerConfig& listener : wanted) {
    log.warning("the listener {} is new; it opens after a restart", listener.address.text());
  }
  return ordered;
}

/// Of what says who may do what, the part that only a restart changes: "reloaded" must not be read
/// as if it were in force. `wanted` has its listeners in the order of `running`.
void tell_what_waits(const Config& running, const Config& wanted, Log& log) {
  const auto waits = [&log](std::string_view what, bool now, bool then) {
    if (now != then) {
      log.warning("{} stays {}; the change takes effect after a restart", what, now);
    }
  };
  waits("commands.bind", running.commands.bind, wanted.commands.bind);
  waits("commands.resolve", running.commands.resolve, wanted.commands.resolve);
  waits("commands.udp", running.commands.udp, wanted.commands.udp);
  if (running.relay.engine != wanted.relay.engine || running.relay.kernel != wanted.relay.kernel) {
    log.warning("relay.engine stays as it is; the change takes effect after a restart");
  }
  for (std::size_t i = 0; i < running.listeners.size(); ++i) {
    const ListenerConfig& listener = running.listeners[i];
    waits(fmt::format("socks4 at {}", listener.address.text()), listener.socks4,
          wanted.listeners[i].socks4);
  }
}

/// A file that is just being written holds nothing, nor does one that a full disk has cut off: no
/// reason to let everybody do everything.
bool would_forget_rules(const Policy& running, const Config& wanted) {
  const bool has_rules = std::any_of(running.rules.begin(), running.rules.end(),
                                     [](const Rule& rule) { return !rule.from_option; });
  return wanted.blank && (has_rules || running.auth.methods != Methods{Method::none});
}

/// Whether the kernel lets us have its part of relay.engine = "sockmap".
bool kernel_relays(Log& log) {
  std::string problem;
  if (Sockmap::open(problem)) {
    return true;
  }
  log.warning("relay.engine is \"sockmap\", but gatewayd works as with \"auto\": {}", problem);
  return false;
}

void mask_signals(int how) noexcept {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGINT);
  ::sigaddset(&set, SIGHUP);
  ::pthread_sigmask(how, &set, nullptr);
}

}  // namespace

void hold_signals() noexcept {
  mask_signals(SIG_BLOCK);
}

Gateway::Gateway(const Config& config, Log& log, AccessLog& access_log, OnReload on_reload)
    : config_(config),
      log_(log),
      on_reload_(std::move(on_reload)),
      hints_(log),
      policy_(make_policy(config)),
      threads_(config.threads != 0 ? config.threads : processors()),
      resolver_(config.resolver),
      dialer_(resolver_, config.dial),
      look_up_(resolver_, config.dial),
      bind_{resolver_, config.dial, config.bind},
      udp_{config.udp, resolver_, config.dial,
           AssociationLimit(associations_for_descriptors(std::numeric_limits<std::size_t>::max(),
                                                         raise_descriptor_limit()))},
      passwords_(password_config(threads_)),
      clients_(config.limits.client),
      limit_(session_limit(config, threads_, log)),
      signals_(context_.get_executor()),
      deadline_(context_.get_executor()) {
  WorkerConfig worker_config{
      config.timeouts.handshake, {config.timeouts.idle, config.timeouts.half_close}, {}};
  worker_config.relay_pool.tuning.path = config.relay.engine;
  worker_config.relay_pool.sockmap = config.relay.kernel && kernel_relays(log);
  const SharedServices shared{dialer_,
                              config.commands.resolve ? &look_up_ : nullptr,
                              config.commands.bind ? &bind_ : nullptr,
                              config.commands.udp ? &udp_ : nullptr,
                              users_,
                              access_log,
                              {passwords_, log_},
                              config.listeners};
  for (unsigned i = 0; i < threads_; ++i) {
    workers_.push_back(std::make_unique<Worker>(worker_config, policy_, shared));
  }
  for (const std::string& warning : config.warnings) {
    log_.warning("{}", warning);
  }
  limit_.when_full([this] {
    for (const std::unique_ptr<Worker>& worker : workers_) {
      worker->hurry_handshakes();
    }
  });
}

Gateway::~Gateway() {
  // Listeners belong to a worker's thread, so they go when there is none.
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->stop();
  }
}

std::vector<std::string> Gateway::open() {
  std::vector<std::string> problems;
  for (std::size_t index = 0; index < config_.listeners.size(); ++index) {
    const ListenerConfig& wanted = config_.listeners[index];
    ListeningSocket opened = open_listener(wanted.address, wanted.mode);
    if (!opened.socket) {
      problems.push_back(std::move(opened.error));
      continue;
    }
    opened.index = index;
    listeners_.push_back(
        std::make_unique<Listener>(accepting(), std::move(opened), limit_, clients_, log_,
                                   [this](Accepted accepted) { deliver(std::move(accepted)); }));
    if (!wanted.address.is_unix()) {
      own_.push_back(listeners_.back()->local());
    }
  }
  use_policy(config_);
  return problems;
}

void Gateway::use_policy(Config config) {
  policy_ = make_policy(std::move(config), own_, &hints_);
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->use(policy_);
  }
}

bool Gateway::run() {
  // splice(2) has no MSG_NOSIGNAL.
  std::signal(SIGPIPE, SIG_IGN);
  signals_.add(SIGTERM);
  signals_.add(SIGINT);
  signals_.add(SIGHUP);
  await_signal();
  for (const std::unique_ptr<Listener>& listener : listeners_) {
    spawn_logged(accepting(), "listener", listener->accept_connections());
    log_.info("listening on {}", listener->name());
  }
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->start();
  }
  mask_signals(SIG_UNBLOCK);
  for (bool over = false; !over;) {
    try {
      context_.run();
      over = true;
    } catch (...) {
      report_escape("gateway", std::current_exception());
    }
  }
  mask_signals(SIG_BLOCK);
  return clean_;
}

void Gateway::deliver(Accepted accepted) {
  // The worker with the fewest sessions; among equals, each in its turn.
  Worker* chosen = nullptr;
  std::size_t least = 0;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    Worker& worker = *workers_[(next_worker_ + i) % workers_.size()];
    const std::size_t load = worker.load();
    if (chosen == nullptr || load < least) {
      chosen = &worker;
      least = load;
    }
  }
  next_worker_ = (next_worker_ + 1) % workers_.size();
  accepted.arrival.id = ++last_id_;
  chosen->take(std::move(accepted));
}

/// Rules, users and what else the policy holds are replaced as a whole or not at all; sessions that
/// run go on with what they began with.
void Gateway::reload() {
  on_reload_.reopen_logs();
  log_.info("log files reopened");
  std::vector<std::string> problems;
  std::optional<Config> config = on_reload_.read_config(problems);
  if (config) {
    config->listeners =
        in_order_of(config_.listeners, std::move(config->listeners), log_, problems);
    if (would_forget_rules(*policy_, *config)) {
      problems.emplace_back(
          "the configuration file is empty, but rules or passwords are in force; to drop them, "
          "restart gatewayd");
    }
    if (!problems.empty()) {
      config.reset();
    }
  }
  for (const std::string& problem : problems) {
    log_.error("{}", problem);
  }
  if (!config) {
    log_.error("the configuration has errors; gatewayd keeps the old one");
    return;
  }
  for (const std::string& warning : config->warnings) {
    log_.warning("{}", warning);
  }
  tell_what_waits(config_, *config, log_);
  asio::post(accepting(), [this, sessions = session_limit(*config, threads_, log_),
                           clients = config->limits.client] {
    limit_.set_limit(sessions);
    clients_.set_limits(clients);
  });
  use_policy(std::move(*config));
  log_.info("configuration reloaded");
}

void Gateway::await_signal() {
  signals_.async_wait([this](const asio::error_code& error, int signal) {
    if (error) {
      return;
    }
    await_signal();  // first: whatever becomes of this signal, the next one is heard
    if (signal == SIGHUP) {
      reload();
    } else if (!draining_) {
      drain();
    } else {
      cancel_sessions();
    }
  });
}

void Gateway::drain() {
  draining_ = true;
  asio::post(accepting(), [this] {
    for (const std::unique_ptr<Listener>& listener : listeners_) {
      listener->close();
    }
    asio::post(context_, [this] { await_sessions(); });
  });
}

void Gateway::await_sessions() {
  limit_.when_idle([this] {
    // Called where a session has just ended, by a destructor. Without memory for the message, the
    // deadlines below find out.
    try {
      asio::post(context_, [this] { finish(true); });
    } catch (...) {
      report_escape("drain", std::current_exception());
    }
  });
  const std::size_t left = limit_.count();
  if (left == 0) {
    return finish(true);
  }
  if (cancelling_) {
    return;  // a second signal was faster
  }
  log_.info("draining: {} sessions have {} ms to end", left, config_.timeouts.drain.count());
  deadline_.expires_after(config_.timeouts.drain);
  deadline_.async_wait([this](const asio::error_code& error) {
    if (!error) {
      cancel_sessions();
    }
  });
}

void Gateway::cancel_sessions() {
  if (cancelling_) {
    return;
  }
  cancelling_ = true;
  deadline_.expires_after(cancel_time);
  deadline_.async_wait([this](const asio::error_code& error) {
    if (!error) {
      if (limit_.count() != 0) {
        log_.error("{} sessions did not end when they were cancelled", limit_.count());
      }
      finish(limit_.count() == 0);
    }
  });
  log_.info("cancelling {} sessions", limit_.count());
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->cancel_sessions();
  }
}

void Gateway::finish(bool clean) {
  clean_ = clean && limit_.count() == 0;
  context_.stop();
}

}  // namespace socks64::gateway
