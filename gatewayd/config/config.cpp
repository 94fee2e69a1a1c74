#include "config/config.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "base/descriptor.hpp"
#include "config/config_keys.hpp"
#include "config/config_reader.hpp"
#include "config/config_rules.hpp"
#include "rules/open_relay.hpp"

namespace socks64::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using namespace std::chrono_literals;

constexpr seconds a_week = 168h;
constexpr std::size_t largest_file = std::size_t{16} << 20U;
constexpr std::string_view address_forms =
    "an address and a port such as \"127.0.0.1:1080\", \"[::1]:1080\" or \"[::]:1080\", or "
    "\"unix:/run/socks64/gateway.sock\"";
constexpr std::string_view mode_forms = "octal permissions from \"0000\" to \"0777\"";

std::string read_mode(std::string_view text, mode_t& out) {
  unsigned mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return "it is not an octal number";
  }
  if (mode > 0777U) {
    return "it is larger than 0777";
  }
  out = static_cast<mode_t>(mode);
  return {};
}

// Defaults as the file would have them.

std::string addresses_text(const std::vector<Endpoint>& addresses) {
  std::vector<std::string> texts;
  texts.reserve(addresses.size());
  for (const Endpoint& address : addresses) {
    texts.emplace_back(address.text().view());
  }
  return written(texts);
}

/// One of each family at most: an AddressPair, or a Source.
template <class Pair>
std::string addresses_text(const Pair& pair) {
  std::vector<std::string> texts;
  for (const std::optional<IpAddress>& address : {pair.v4, pair.v6}) {
    if (address) {
      texts.emplace_back(address->text().view());
    }
  }
  return written(texts);
}

std::string ports_text(const PortRange& ports) {
  return written(ports.first == 0 ? "" : fmt::format("{}-{}", ports.first, ports.last));
}

/// None where a listener has those of [auth].
std::optional<std::string> methods_text(const Methods& methods) {
  std::vector<std::string> texts;
  for (const Method method : methods) {
    texts.emplace_back(method == Method::none ? "none" : "password");
  }
  return texts.empty() ? std::nullopt : std::optional(written(texts));
}

void read_methods(TableReader& table, std::string_view key, const AuthConfig& auth, Methods& out) {
  constexpr std::string_view forms = "\"none\" or \"password\", the preferred one first";
  Methods methods;
  table.parsed_list(
      key, forms, [&](std::string_view word) { return add_method(word, methods); },
      methods_text(out));
  if (table.has_empty_list(key)) {
    table.complain(fmt::format("{} is empty, expected {}", key, forms));
  }
  if (methods.empty()) {
    return;
  }
  if (auth.users_file.empty() &&
      std::find(methods.begin(), methods.end(), Method::userpass) != methods.end()) {
    table.complain(fmt::format(
        "{} lists \"password\", which needs a users_file; expected users_file in [auth]", key));
  }
  out = std::move(methods);
}

void read_auth(TableReader& table, AuthConfig& auth) {
  table.text("users_file", auth.users_file, "the path of a file", false);
  read_methods(table, "methods", auth, auth.methods);
  table.duration("cache_time", auth.cache_time, 0s, 24h);
}

void read_client_methods(TableReader& table, const AuthConfig& auth, ListenerAuth& listener) {
  ClientMethods some;
  for (const std::string_view key : {"from", "auth"}) {
    if (!table.has(key)) {
      table.complain(fmt::format("{} is missing", key));
    }
  }
  table.parsed_list("from", "a network such as \"192.0.2.0/24\" or \"2001:db8::/32\"",
                    [&](std::string_view text) -> std::string {
                      const Result<Prefix> block = Prefix::parse(text);
                      if (!block) {
                        return std::string(describe(block.error()));
                      }
                      some.from.push_back(*block);
                      return {};
                    });
  if (table.has_empty_list("from")) {
    table.complain("from is empty, expected a network");
  }
  read_methods(table, "auth", auth, some.methods);
  if (!some.from.empty() && !some.methods.empty()) {
    listener.clients.push_back(std::move(some));
  }
}

void read_listener(TableReader& table, const AuthConfig& auth,
                   std::vector<ListenerConfig>& listeners) {
  if (!table.has("address")) {
    table.complain(fmt::format("address is missing, expected {}", address_forms));
  }
  ListenerConfig listener;
  bool good = false;
  table.parsed("address", address_forms, [&](std::string_view text) {
    std::string problem;
    if (!parse_listen_address(text, listener.address, problem)) {
      return problem;
    }
    const bool twice =
        std::any_of(listeners.begin(), listeners.end(),
                    [&](const ListenerConfig& other) { return other.address == listener.address; });
    if (twice && (listener.address.is_unix() || listener.address.endpoint.port != 0)) {
      problem = "it is listed twice";
    } else {
      good = true;
    }
    return problem;
  });
  table.parsed(
      "mode", mode_forms,
      [&](std::string_view text) -> std::string {
        if (good && !listener.address.is_unix()) {
          return "only a UNIX socket has a mode";
        }
        return read_mode(text, listener.mode);
      },
      written(fmt::format("{:04o}", listener.mode)));
  table.flag("socks4", listener.socks4);
  read_methods(table, "auth", auth, listener.auth.methods);
  table.tables("clients",
               [&](TableReader& clients) { read_client_methods(clients, auth, listener.auth); });
  if (good && listener.address.is_unix() && !listener.auth.clients.empty()) {
    table.complain(
        "clients is set, but clients of a UNIX socket have no network address; expected auth "
        "alone");
  }
  if (listener.socks4 && !admits_without_password(auth, listener.auth)) {
    table.complain(
        "socks4 is true, but every client needs a password and SOCKS4 cannot carry one; expected "
        "\"none\" in auth for at least some clients");
  }
  if (good) {
    listeners.push_back(std::move(listener));
  }
}

void read_timeouts(TableReader& table, Config& config) {
  // RFC 1928 leaves the length of a handshake open; ten seconds are ample, and more only serves
  // those who open connections to hold them.
  table.duration("handshake", config.timeouts.handshake, 100ms, 10s);
  table.duration("connect", config.dial.connect_timeout, 100ms, 10min);
  table.duration("idle", config.timeouts.idle, 0s, a_week);
  table.duration("half_close", config.timeouts.half_close, 0s, a_week);
  table.duration("drain", config.timeouts.drain, 0s, 24h);
}

/// What is wrong with a DNS server's address, or nothing.
std::string server_problem(const Endpoint& server) {
  if (server.port == 0) {
    return "a DNS server cannot have port 0";
  }
  if (server.address.is_unspecified()) {
    return "it is the unspecified address";
  }
  if (server.address.is_multicast()) {
    return "it is a multicast address";
  }
  // c-ares 1.18 takes servers without a zone, and without it the kernel knows no way to them.
  if (server.address.is_v6() && server.address.is_link_local()) {
    return "it is a link-local address";
  }
  return {};
}

void read_resolver(TableReader& table, ResolverConfig& resolver) {
  table.choice("backend", {{"dns", NameSource::dns}, {"system", NameSource::system}},
               resolver.source);
  table.integer("system_threads", resolver.system_threads, 1, 1024);
  table.duration("system_ttl", resolver.system_ttl, 0s, 24h);
  table.parsed_list(
      "servers",
      "an address such as \"192.0.2.53\" or \"2001:db8::53\", with a port as in "
      "\"192.0.2.53:5353\" or \"[2001:db8::53]:5353\"",
      [&](std::string_view text) -> std::string {
        Endpoint server;
        if (const Result<IpAddress> address = IpAddress::parse(text)) {
          server = {*address, 53};
        } else {
          const Result<Endpoint> parsed = Endpoint::parse(text);
          if (!parsed) {
            return std::string(describe(parsed.error()));
          }
          server = *parsed;
        }
        std::string problem = server_problem(server);
        if (problem.empty()) {
          resolver.servers.push_back(server);
        }
        return problem;
      },
      addresses_text(resolver.servers));
  table.text("hosts_file", resolver.hosts_file, "a path, or \"\" for none", true);
  table.duration("query_timeout", resolver.query_timeout, 50ms, 60s);
  table.integer("tries", resolver.tries, 1, 10);
  table.integer("cache_entries", resolver.cache_entries, 0, 10'000'000);
  table.duration("min_ttl", resolver.min_ttl, 0s, 24h);
  table.duration("max_ttl", resolver.max_ttl, 0s, a_week);
  table.duration("negative_ttl", resolver.negative_ttl, 0s, 24h);
  table.integer("max_in_flight", resolver.max_in_flight, 1, 1'000'000);
  if (resolver.source == NameSource::system && !resolver.servers.empty()) {
    table.complain(
        "servers is set, but only backend \"dns\" uses it; expected backend = \"dns\", or no "
        "servers");
  }
  if (resolver.min_ttl > resolver.max_ttl) {
    table.complain(fmt::format("min_ttl ({}) is longer than max_ttl ({})",
                               duration_text(resolver.min_ttl), duration_text(resolver.max_ttl)));
  }
}

void read_families(TableReader& table, DialConfig& dial) {
  std::vector<std::string> initial;
  if (dial.ipv4) {
    initial.emplace_back("ipv4");
  }
  if (dial.ipv6) {
    initial.emplace_back("ipv6");
  }
  struct {
    bool ipv4 = false;
    bool ipv6 = false;
  } read;
  bool any = false;
  table.parsed_list(
      "families", "\"ipv4\" or \"ipv6\"",
      [&](std::string_view text) -> std::string {
        any = true;
        if (text != "ipv4" && text != "ipv6") {
          return "it is not an address family";
        }
        bool& family = text == "ipv4" ? read.ipv4 : read.ipv6;
        return std::exchange(family, true) ? "it is listed twice" : "";
      },
      written(initial));
  if (!table.has("families")) {
    return;
  }
  dial.ipv4 = read.ipv4;
  dial.ipv6 = read.ipv6;
  if (!any) {
    table.complain("families is empty, expected \"ipv4\", \"ipv6\" or both");
  }
}

/// What is wrong with an address as our end of a connection, or nothing.
std::string source_problem(const IpAddress& address, const Source& source) {
  if (address.is_unspecified()) {
    return "it is the unspecified address";
  }
  if (address.is_multicast()) {
    return "it is a multicast address";
  }
  if (address.is_v4_mapped()) {
    return "it is an IPv4-mapped address; write the IPv4 address instead";
  }
  // It would need a zone, and reach nothing beyond one link.
  if (address.is_v6() && address.is_link_local()) {
    return "it is a link-local address";
  }
  if (source.of(address.family())) {
    return "another address of this family is already listed";
  }
  return {};
}

/// dev_valid_name() of the kernel.
std::string interface_problem(std::string_view name) {
  constexpr std::size_t longest = 15;  // IFNAMSIZ without the NUL
  constexpr std::string_view never{"/:\0 \t\n\v\f\r", 9};
  if (name.size() > longest) {
    return "the name is longer than 15 octets";
  }
  if (name == "." || name == ".." || name.find_first_of(never) != std::string_view::npos) {
    return "no interface can have this name";
  }
  return {};
}

void read_dial(TableReader& table, DialConfig& dial) {
  table.choice("prefer",
               {{"ipv6", FamilyPreference::ipv6},
                {"ipv4", FamilyPreference::ipv4},
                {"system", FamilyPreference::system}},
               dial.prefer);
  // RFC 8305 section 5 gives the bounds of the one, section 3 the purpose of the other.
  table.duration("attempt_delay", dial.attempt_delay, 100ms, 2s);
  table.duration("resolution_delay", dial.resolution_delay, 0ms, 2s);
  table.duration("family_memory", dial.family_memory, 0s, 24h);
  read_families(table, dial);
  table.parsed_list(
      "bind_address",
      "an address of this host such as \"192.0.2.1\" or \"2001:db8::1\", at most one of each "
      "family",
      [&](std::string_view text) -> std::string {
        const Result<IpAddress> address = IpAddress::parse(text);
        if (!address) {
          return std::string(describe(address.error()));
        }
        std::string problem = source_problem(*address, dial.source);
        if (!problem.empty()) {
          return problem;
        }
        (address->is_v4() ? dial.source.v4 : dial.source.v6) = *address;
        return {};
      },
      addresses_text(dial.source));
  table.parsed(
      "interface", "the name of an interface such as \"eth0\", or \"\" for any",
      [&](std::string_view text) -> std::string {
        std::string problem = interface_problem(text);
        if (problem.empty()) {
          dial.source.interface = text;
        }
        return problem;
      },
      written(dial.source.interface));
}

void read_bind(TableReader& table, BindConfig& bind) {
  constexpr std::string_view addresses =
      "an address such as \"192.0.2.1\" or \"2001:db8::1\", at most one of each family";
  table.parsed_list(
      "address", addresses, [&](std::string_view text) { return add_address(text, bind.address); },
      addresses_text(bind.address));
  table.parsed_list(
      "advertise", addresses,
      [&](std::string_view text) { return add_address(text, bind.advertise); },
      addresses_text(bind.advertise));
  table.parsed(
      "ports", "a range such as \"40000-40999\", or one port",
      [&](std::string_view text) { return parse_port_range(text, bind.ports); },
      ports_text(bind.ports));
  table.duration("timeout", bind.timeout, 100ms, 24h);
  table.choice("peer_port", {{"any", false}, {"exact", true}}, bind.exact_port);
}

void read_udp(TableReader& table, UdpConfig& udp) {
  table.duration("idle", udp.idle, 0s, a_week);
  table.parsed(
      "ports", "a range of ports such as \"50000-50999\", or \"\" for any",
      [&](std::string_view text) { return parse_port_range(text, udp.ports); },
      ports_text(udp.ports));
  table.parsed_list(
      "advertise", "an address such as \"203.0.113.7\" or \"2001:db8::7\"",
      [&](std::string_view text) { return add_address(text, udp.advertise); },
      addresses_text(udp.advertise));
}

void read_relay(TableReader& table, RelayConfig& relay) {
  std::pair<RelayPath, bool> engine(relay.engine, relay.kernel);
  table.choice("engine",
               {{"auto", {RelayPath::adaptive, false}},
                {"splice", {RelayPath::splice, false}},
                {"copy", {RelayPath::copy, false}},
                {"sockmap", {RelayPath::adaptive, true}}},
               engine);
  relay = {engine.first, engine.second};
}

void read_log(TableReader& table, LogConfig& log) {
  table.choice("level",
               {{"trace", LogLevel::trace},
                {"debug", LogLevel::debug},
                {"info", LogLevel::info},
                {"warning", LogLevel::warning},
                {"error", LogLevel::error}},
               log.level);
  table.text("target", log.target, "\"stderr\" or the path of a file", false);
}

void read_access_log(TableReader& table, AccessLogConfig& access_log) {
  table.text("target", access_log.target, "\"stderr\", \"none\" or the path of a file", false);
  table.choice("format", {{"text", AccessFormat::text}, {"json", AccessFormat::json}},
               access_log.format);
}

/// The parser of TOML says '\n' where a line ends too early, and takes text without quotes for a
/// number, a date or a boolean.
std::string in_words(std::string_view description) {
  struct Word {
    std::string_view sign;
    std::string_view name;
  };
  constexpr Word words[] = {
      {"'\\n'", "the end of the line"}, {"'\\r'", "a carriage return"}, {"'\\t'", "a tab"}};
  std::string text(description);
  for (const Word& word : words) {
    for (std::size_t at = text.find(word.sign); at != std::string::npos;
         at = text.find(word.sign)) {
      text.replace(at, word.sign.size(), word.name);
    }
  }
  for (const std::string_view kind :
       {"value", "boolean", "integer", "floating-point", "date", "time", "date-time"}) {
    if (text.starts_with(fmt::format("Error while parsing {}: ", kind))) {
      return text + "; text must be in quotes";
    }
  }
  if (text.starts_with("Error while parsing string: unescaped control characters")) {
    text += "; is the closing quote missing?";
  }
  return text;
}

void read_limits(TableReader& table, LimitConfig& limits) {
  table.integer("sessions", limits.sessions, 0, 100'000'000);
  table.integer("sessions_per_client", limits.client.sessions, 0, 100'000'000);
  table.integer("rate_per_client", limits.client.rate, 0, 1'000'000);
  table.integer("client_prefix_v4", limits.client.prefix_v4, 1, 32);
  table.integer("client_prefix_v6", limits.client.prefix_v6, 1, 128);
  table.integer("sessions_per_user", limits.user.sessions, 0, 100'000'000);
  table.integer("rate_per_user", limits.user.rate, 0, 1'000'000);
  table.size("bandwidth_per_user", limits.user.bandwidth, std::uint64_t{1} << 10U,
             std::uint64_t{1} << 40U);
  table.integer("udp_associations", limits.udp.associations, 0, 1'000'000);
  table.integer("udp_datagrams_per_second", limits.udp.datagrams_per_second, 0, 1'000'000'000);
}

void read_root(TableReader& root, Config& config) {
  root.table("auth", [&](TableReader& table) { read_auth(table, config.auth); });
  std::vector<ListenerConfig> listeners;
  root.tables("listener",
              [&](TableReader& table) { read_listener(table, config.auth, listeners); });
  if (!listeners.empty()) {
    config.listeners = std::move(listeners);
  }
  // Who names users means to ask for them: a gateway that did not would be open by a slip.
  if (!config.auth.users_file.empty() &&
      std::none_of(config.listeners.begin(), config.listeners.end(),
                   [&](const ListenerConfig& listener) {
                     return asks_for_passwords(config.auth, listener.auth);
                   })) {
    root.complain(
        "auth.users_file is set, but no listener asks for a password; expected methods = "
        "[\"password\"] in [auth], or auth = [\"password\"] in a [[listener]]");
  }
  std::vector<std::string> names;
  for (const ListenerConfig& listener : config.listeners) {
    names.push_back(listener.address.text());
  }
  config.rules = read_rules(root, names);
  root.integer("threads", config.threads, 0, 1024);
  root.table("timeouts", [&](TableReader& table) { read_timeouts(table, config); });
  root.table("resolver", [&](TableReader& table) { read_resolver(table, config.resolver); });
  root.table("dial", [&](TableReader& table) { read_dial(table, config.dial); });
  root.table("limits", [&](TableReader& table) { read_limits(table, config.limits); });
  root.table("commands", [&](TableReader& table) {
    table.flag("bind", config.commands.bind);
    table.flag("resolve", config.commands.resolve);
    table.flag("udp", config.commands.udp);
  });
  root.table("bind", [&](TableReader& table) { read_bind(table, config.bind); });
  root.table("udp", [&](TableReader& table) { read_udp(table, config.udp); });
  root.table("relay", [&](TableReader& table) { read_relay(table, config.relay); });
  root.table("log", [&](TableReader& table) { read_log(table, config.log); });
  root.table("access_log", [&](TableReader& table) { read_access_log(table, config.access_log); });
  root.finish();
}

}  // namespace

std::vector<ListenerConfig> Config::default_listeners() {
  // Loopback only: a proxy that anybody can reach has to be asked for.
  constexpr Port port = 1080;
  IpAddress::V6Bytes loopback{};
  loopback[15] = 1;
  return {{Endpoint{IpAddress::v4(0x7f000001), port}}, {Endpoint{IpAddress::v6(loopback), port}}};
}

std::vector<std::string> open_relays(const Config& config) {
  std::vector<ExposedListener> listeners;
  for (const ListenerConfig& listener : config.listeners) {
    if (listener.address.is_unix()) {
      continue;
    }
    listeners.push_back({listener.address.text(), listener.address.endpoint.address,
                         admits_anybody(config.auth, listener.auth)});
  }
  return open_relays(listeners, config.rules);
}

ConfigResult parse_config(std::string_view text, std::string_view file) {
  ConfigResult result;
  ProblemList problems(file);
  try {
    const toml::table root = toml::parse(text);
    TableReader reader(root, "", problems);
    read_root(reader, result.config);
    result.config.blank = root.empty();
  } catch (const toml::parse_error& error) {
    problems.add(error.source(), "", in_words(error.description()));
  }
  result.problems = problems.take();
  return result;
}

std::vector<ConfigKey> config_keys() {
  const toml::table nothing;
  ProblemList problems("");
  std::vector<ConfigKey> keys;
  TableReader reader(nothing, problems, keys);
  Config defaults;
  read_root(reader, defaults);
  return keys;
}

namespace {

/// A rule for somebody whom the users file does not have is good, and most likely a slip.
void warn_of_strangers(const Config& config, std::vector<std::string>& warnings) {
  for (const Rule& rule : config.rules) {
    if (!rule.users) {
      continue;
    }
    for (const std::string& user : rule.users->names) {
      using Kind = UserTable::Entry::Kind;
      if (config.auth.users->find(user, SipKey{}).kind != Kind::unknown) {
        continue;
      }
      warnings.push_back(
          fmt::format("{}: the users file has no user {}", escaped(rule.name), escaped(user)));
    }
  }
}

}  // namespace

std::string config_file(const std::string& chosen, const std::string& usual) {
  if (!chosen.empty()) {
    return chosen;
  }
  const bool absent = ::access(usual.c_str(), F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR);
  return absent ? "" : usual;
}

ConfigResult load_config(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  ssize_t got = file ? 1 : -1;
  while (got > 0 && text.size() <= largest_file) {
    char piece[4096];
    got = ::read(file.get(), piece, sizeof piece);
    if (got > 0) {
      text.append(piece, static_cast<std::size_t>(got));
    }
  }
  if (got < 0) {
    ConfigResult result;
    result.problems.push_back(fmt::format("{}: cannot read: {}", path, std::strerror(errno)));
    return result;
  }
  if (text.size() > largest_file) {
    ConfigResult result;
    result.problems.push_back(
        fmt::format("{}: the file is larger than {} MiB", path, largest_file >> 20U));
    return result;
  }
  ConfigResult result = parse_config(text, path);
  AuthConfig& auth = result.config.auth;
  if (!auth.users_file.empty()) {
    UsersResult users = load_users(auth.users_file);
    result.problems.insert(result.problems.end(), users.problems.begin(), users.problems.end());
    result.config.warnings = std::move(users.warnings);
    auth.users = std::make_shared<const UserTable>(std::move(users.users));
  }
  warn_of_strangers(result.config, result.config.warnings);
  return result;
}

}  // namespace socks64::gateway
