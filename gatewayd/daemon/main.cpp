// gatewayd: options, configuration, logs, and then the gateway.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <memory>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/uio.h>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "account/account.hpp"
#include "base/line_writer.hpp"
#include "base/log.hpp"
#include "config/config.hpp"
#include "config/config_rules.hpp"
#include "config/rule_options.hpp"
#include "daemon/explain_rule.hpp"
#include "daemon/gateway.hpp"
#include "daemon/passwd.hpp"
#include "loop/net.hpp"

namespace {

using namespace socks64::gateway;

constexpr int exit_failure = 1;  // the configuration is bad, or the gateway could not start
constexpr int exit_usage = 2;

constexpr const char* default_config = SOCKS64_SYSCONFDIR "/socks64/gatewayd.toml";

struct Options {
  std::string config;
  bool check_config = false;
  std::vector<std::string> listen;
  std::string log_level;
  std::string access_log;
  std::optional<unsigned> threads;
  std::vector<std::string> allow_from;
  std::vector<std::string> allow_to;
  bool insecure_open = false;
  std::optional<std::string> explain_rule;
};

/// The log for what must not happen; set for as long as run_gateway() runs.
Log* defects = nullptr;

/// For as long as this the end waits for whoever reads a log.
constexpr std::chrono::milliseconds log_patience{2000};

void say(std::string_view text) {
  fmt::print(stderr, "gatewayd: {}\n", text);
}

std::string check_listen(const std::string& text) {
  ListenAddress address;
  std::string problem;
  if (!parse_listen_address(text, address, problem)) {
    problem = fmt::format(
        "{} is wrong: {}; expected an address and a port such as 127.0.0.1:1080 or [::1]:1080, or "
        "unix:/run/socks64/gateway.sock",
        escaped(text), problem);
  }
  return problem;
}

std::string check_network(const std::string& text) {
  socks64::Prefix block;
  std::string problem = parse_network(text, block);
  if (!problem.empty()) {
    problem = fmt::format("{} is wrong: {}; expected an address or a block such as 10.0.0.0/8",
                          escaped(text), problem);
  }
  return problem;
}

std::vector<socks64::Prefix> networks(const std::vector<std::string>& texts) {
  std::vector<socks64::Prefix> blocks(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    (void)parse_network(texts[i], blocks[i]);  // check_network() has seen them
  }
  return blocks;
}

void describe_options(CLI::App& app, Options& options) {
  app.description(
      "gatewayd - SOCKS5 gateway between IPv4 and IPv6 (RFC 3089).\n"
      "Without a configuration file it serves 127.0.0.1:1080 and [::1]:1080.");
  app.add_option("-c,--config", options.config,
                 fmt::format("Configuration file (default: {}, if it exists)", default_config))
      ->type_name("FILE");
  app.add_flag(
      "--check-config", options.check_config,
      "Read the configuration, print \"FILE: ok\" or every error in it, and exit with 0 or 1");
  app.add_option(
         "-l,--listen", options.listen,
         "Listen on this address instead of the file's listeners; may be repeated; port 0 takes "
         "any free port and logs it; only this user and group may connect to a UNIX socket")
      ->type_name("ADDR:PORT|unix:PATH")
      ->check(check_listen)
      ->take_all();
  app.add_option("--threads", options.threads,
                 "Number of worker threads; 0 means one for each processor")
      ->type_name("N")
      ->check(CLI::Range(0U, 1024U));
  app.add_option(
         "--allow-from", options.allow_from,
         "Serve only these clients and those of UNIX sockets; may be repeated; works only if "
         "the configuration has no rules")
      ->type_name("NET")
      ->check(check_network)
      ->take_all();
  app.add_option(
         "--allow-to", options.allow_to,
         "Allow these destinations before any rule, even protected ones such as 127.0.0.0/8; "
         "may be repeated")
      ->type_name("NET")
      ->check(check_network)
      ->take_all();
  app.add_flag("--insecure-open", options.insecure_open,
               "Start even if a listener would serve everybody who reaches it");
  app.add_option(
         "--explain-rule", options.explain_rule,
         "Say which rule decides about a request and why, and exit with 0 if it is allowed, 1 "
         "if it is denied. Example: \"client=192.0.2.9 user=alice "
         "target=example.com:443\"; also command=, listener=, address=, resolve=yes")
      ->type_name("REQUEST");
  app.add_option("--log-level", options.log_level,
                 "The least severe messages that are logged: trace, debug, info, warning or error")
      ->type_name("LEVEL")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error"}));
  app.add_option("--access-log", options.access_log,
                 "Where access records go: \"stderr\", \"none\" or a file")
      ->type_name("TARGET");
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return fmt::format("gatewayd: {} (gatewayd --help shows the options)\n",
                       printable(error.what()));
  });
  app.set_version_flag("-V,--version", "gatewayd " SOCKS64_VERSION);
  app.footer(
      "gatewayd passwd USER: add, change or delete (-D) a user in the users file; see\n"
      "gatewayd passwd --help.\n"
      "SIGTERM, SIGINT: stop accepting, let sessions end, then exit; a second signal ends the "
      "sessions\nat once. SIGHUP: read the configuration again and reopen the log files.\n"
      "Exit status: 0 after a signal or if --check-config finds no error, 1 if the configuration "
      "has\nerrors or the start failed, 2 for wrong options.");
}

/// A line of the log each.
void append_lines(std::vector<std::string>& lines, std::string_view text) {
  std::string prefix = "gatewayd: ";
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(prefix.append(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
    prefix.clear();
  }
}

bool names_only(const TextSet& names, const std::vector<ListenerConfig>& listeners) {
  return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    return std::any_of(listeners.begin(), listeners.end(), [&](const ListenerConfig& listener) {
      return listener.address.text() == name;
    });
  });
}

std::optional<Config> configure(const Options& options, std::vector<std::string>& problems) {
  ConfigResult loaded;
  const std::string file = config_file(options.config, default_config);
  if (!file.empty()) {
    loaded = load_config(file);
  }
  problems = std::move(loaded.problems);
  if (!problems.empty()) {
    return std::nullopt;
  }
  Config config = std::move(loaded.config);
  if (!options.listen.empty()) {
    for (const ListenerConfig& listener : config.listeners) {
      if (listener.auth.methods.empty() && listener.auth.clients.empty()) {
        continue;
      }
      problems.push_back(fmt::format(
          "--listen would discard the authentication settings of the listener {}, expected methods "
          "only in [auth], or no --listen",
          listener.address.text()));
    }
    if (!problems.empty()) {
      return std::nullopt;
    }
    config.listeners.clear();
    for (const std::string& text : options.listen) {
      ListenerConfig listener;
      std::string problem;
      if (parse_listen_address(text, listener.address, problem)) {
        config.listeners.push_back(listener);
      }
    }
    // A rule that denies something there would deny it no more.
    for (const Rule& rule : config.rules) {
      if (rule.listeners && !names_only(*rule.listeners, config.listeners)) {
        problems.push_back(fmt::format(
            "--listen would remove a listener that {} names, expected rules that name only "
            "addresses of --listen or no listeners, or no --listen",
            escaped(rule.name)));
      }
    }
    if (!problems.empty()) {
      return std::nullopt;
    }
  }
  if (options.threads) {
    config.threads = *options.threads;
  }
  if (!options.log_level.empty()) {
    config.log.level = parse_log_level(options.log_level).value_or(config.log.level);
  }
  if (!options.access_log.empty()) {
    config.access_log.target = options.access_log;
  }
  const std::string problem =
      apply({networks(options.allow_from), networks(options.allow_to)}, config.rules);
  if (!problem.empty()) {
    problems.push_back("gatewayd: " + problem);
  }
  if (!options.insecure_open && !options.explain_rule) {
    for (const std::string& open : open_relays(config)) {
      append_lines(problems, open);
    }
  }
  if (!problems.empty()) {
    return std::nullopt;
  }
  return config;
}

/// Started with descriptor 2 closed, we would write log lines to whatever is opened first: a
/// timer, a client's connection.
void guard_standard_descriptors() noexcept {
  int fd = -1;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) {
    ::close(fd);
  }
}

/// What escapes is as a rule std::bad_alloc, so reporting it may fail for the same reason: then a
/// line that needs no memory, unless stderr would have to be waited for.
void report_defect(std::string_view where, std::string_view what) noexcept {
  try {
    defects->error("{} ended with an exception: {}", where, escaped(what));
  } catch (...) {
    pollfd ready{STDERR_FILENO, POLLOUT, 0};
    if (::poll(&ready, 1, 0) != 1) {
      return;
    }
    constexpr std::string_view pieces[] = {"gatewayd: ",
                                           ": out of memory while reporting an exception\n"};
    const auto piece = [](std::string_view text) {
      return iovec{const_cast<char*>(text.data()), text.size()};
    };
    const iovec line[] = {piece(pieces[0]), piece(where), piece(pieces[1])};
    [[maybe_unused]] const ssize_t written = ::writev(STDERR_FILENO, line, 3);
  }
}

bool start_writer(LineWriter& writer) {
  const int error = writer.start();
  if (error != 0) {
    say(fmt::format("cannot open the log {}: {}", writer.target(), std::strerror(error)));
  }
  return error == 0;
}

int run_gateway(const Config& config, const Options& options) {
  hold_signals();
  LineWriter log_writer(config.log.target);
  std::unique_ptr<LineWriter> own_access_writer;
  LineWriter* access_writer = nullptr;
  if (!start_writer(log_writer)) {
    return exit_failure;
  }
  if (config.access_log.target == config.log.target) {
    access_writer = &log_writer;
  } else if (config.access_log.target != "none") {
    own_access_writer = std::make_unique<LineWriter>(config.access_log.target);
    access_writer = own_access_writer.get();
    if (!start_writer(*access_writer)) {
      return exit_failure;
    }
  }

  Log log(log_writer, config.log.level);
  AccessLog access_log(access_writer, config.access_log.format);
  defects = &log;
  set_escape_handler(report_defect);
  const auto end_logs = [&log_writer, &own_access_writer] {
    // The records first: the log has had its time by then.
    const bool records = !own_access_writer || own_access_writer->stop(log_patience);
    return log_writer.stop(log_patience) && records;
  };

  bool clean = false;
  {
    Gateway::OnReload on_reload;
    on_reload.reopen_logs = [&log_writer, &own_access_writer] {
      log_writer.reopen();
      if (own_access_writer) {
        own_access_writer->reopen();
      }
    };
    on_reload.read_config = [&options](std::vector<std::string>& problems) {
      return configure(options, problems);
    };
    Gateway gateway(config, log, access_log, std::move(on_reload));
    const std::vector<std::string> problems = gateway.open();
    if (!problems.empty()) {
      for (const std::string& problem : problems) {
        say(problem);
      }
      return exit_failure;
    }
    log.info("gatewayd " SOCKS64_VERSION " starts");
    for (const std::string& problem : open_relays(config)) {
      // Its first sentence; what could be done instead is for whoever did not say so.
      const std::string line = problem.substr(0, problem.find('\n'));
      log.warning("--insecure-open: {}", line.substr(0, line.rfind(". ")));
    }
    clean = gateway.run();
    if (!clean) {
      (void)end_logs();
      std::_Exit(exit_failure);
    }
  }
  log.info("gatewayd ends");
  if (!end_logs()) {
    std::_Exit(EXIT_SUCCESS);  // a disk hangs; the sessions have ended all the same
  }
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  guard_standard_descriptors();
  if (argc > 1 && std::strcmp(argv[1], "passwd") == 0) {
    try {
      return passwd_command(argc - 1, argv + 1);
    } catch (const std::exception& error) {
      say(error.what());
      return exit_failure;
    }
  }
  Options options;
  CLI::App app;
  describe_options(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? EXIT_SUCCESS : exit_usage;
  }
  try {
    // Once and for all: a file that is gone at a reload is an error then, and no reason to go on
    // with the defaults, which ask nobody for a password.
    options.config = config_file(options.config, default_config);
    std::vector<std::string> problems;
    const std::optional<Config> config = configure(options, problems);
    for (const std::string& problem : problems) {
      fmt::print(stderr, "{}\n", problem);
    }
    const bool explaining = options.explain_rule.has_value();
    if (!config) {
      return explaining ? exit_usage : exit_failure;
    }
    if (explaining) {
      return explain_rule(*options.explain_rule, *config);
    }
    if (options.check_config) {
      for (const std::string& warning : config->warnings) {
        say(warning);
      }
      if (options.config.empty()) {
        fmt::print("no configuration file ({} does not exist): the defaults are ok\n",
                   default_config);
      } else {
        fmt::print("{}: ok\n", options.config);
      }
      return EXIT_SUCCESS;
    }
    return run_gateway(*config, options);
  } catch (const std::exception& error) {
    say(error.what());
    return exit_failure;
  }
}
