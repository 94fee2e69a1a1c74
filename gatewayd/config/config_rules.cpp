#include "config/config_rules.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "base/dns_name.hpp"
#include "base/escape.hpp"

namespace socks64::gateway {
namespace {

constexpr std::string_view client_forms =
    "an address or a block such as \"192.0.2.7\", \"10.0.0.0/8\", \"2001:db8::/32\", or \"unix\"";
constexpr std::string_view user_forms = "a user's name, or \"*\" for every authenticated user";
constexpr std::string_view destination_forms =
    "a name such as \"example.com\", \".example.com\" for every name below it, an address or a "
    "block such as \"192.0.2.7\", \"10.0.0.0/8\", \"2001:db8::/32\", or \"*\"";
constexpr std::string_view port_forms = "a port such as 443, or a range such as \"8000-8999\"";
constexpr std::string_view source_forms = "an address of this host such as \"192.0.2.7\"";

const std::vector<std::string_view> command_words{"connect", "bind", "udp", "resolve"};
const std::vector<std::string_view> family_words{"ipv4", "ipv6"};
const std::vector<std::string_view> crossing_words{"v4>v4", "v4>v6",   "v6>v4",
                                                   "v6>v6", "unix>v4", "unix>v6"};

std::string joined(const std::vector<std::string_view>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    text += i == 0 ? "" : i + 1 == words.size() ? " or " : ", ";
    text += fmt::format("\"{}\"", words[i]);
  }
  return text;
}

/// A name that rules can hold: what a client may ask for, and nothing that was meant otherwise.
std::string name_problem(std::string_view name) {
  if (name.find('*') != std::string_view::npos) {
    return "a name cannot hold \"*\"; a leading dot stands for every name below it";
  }
  if (name.find('/') != std::string_view::npos) {
    return "it is not an address block, and a name cannot hold a slash";
  }
  if (name.find(':') != std::string_view::npos) {
    return "it is not an address, and a name cannot hold a colon";
  }
  if (name.find('%') != std::string_view::npos) {
    return "an address in a rule cannot have a zone, and a name cannot hold \"%\"";
  }
  for (const char c : name) {
    const auto octet = static_cast<unsigned char>(c);
    if (octet <= ' ' || octet == 0x7f) {
      return "a name cannot hold blanks or control characters";
    }
    if (octet >= 0x80) {
      return "letters beyond ASCII must be written as DNS has them, \"xn--...\"";
    }
  }
  if (!canonical_name(name)) {
    return "it is not a name: it has an empty label, a label of more than 63 octets, or more than "
           "253 "
           "octets in all";
  }
  // "127.1" and "0x7f000001": some resolver may take it for an address, a rule should say which.
  if (name.ends_with('.')) {
    name.remove_suffix(1);
  }
  const std::string_view last = name.substr(name.rfind('.') + 1);
  const bool number = last.find_first_not_of("0123456789") == std::string_view::npos ||
                      last.starts_with("0x") || last.starts_with("0X");
  if (number) {
    return "it looks like an address but is not one";
  }
  return {};
}

std::optional<Port> parse_bound(std::string_view text) {
  const Result<Port> port = parse_port(text);
  return port && *port != 0 ? std::optional<Port>(*port) : std::nullopt;
}

std::string add_port(std::vector<PortSpan>& ports, std::string_view text) {
  const std::size_t dash = text.find('-');
  const std::optional<Port> low = parse_bound(text.substr(0, dash));
  const std::optional<Port> high =
      dash == std::string_view::npos ? low : parse_bound(text.substr(dash + 1));
  if (!low || !high) {
    return "it is not a port from 1 to 65535";
  }
  if (*low > *high) {
    return fmt::format("the range is reversed; write \"{}-{}\"", *high, *low);
  }
  ports.push_back({*low, *high});
  return {};
}

/// One rule while it is read.
class RuleReader {
 public:
  RuleReader(TableReader& table, const std::vector<std::string>& listeners)
      : table_(table), listeners_(listeners) {}

  Rule read(std::size_t number) {
    rule_.name = fmt::format("rule {}", number);
    read_name();
    if (!table_.has("action")) {
      table_.complain("action is missing, expected \"allow\" or \"deny\"");
    }
    std::optional<RuleAction> action;
    table_.choice("action", {{"allow", RuleAction::allow}, {"deny", RuleAction::deny}}, action);
    rule_.action = action.value_or(rule_.action);
    read_who();
    read_what();
    read_how();
    seal(rule_);
    return std::move(rule_);
  }

 private:
  void read_name() {
    table_.parsed("name", "a short name for the log", [this](std::string_view text) {
      const bool printable =
          std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < '\x7f'; });
      if (text.empty() || text.size() > 64 || !printable) {
        return std::string("it is not 1 to 64 printable ASCII characters");
      }
      rule_.name = text;
      return std::string();
    });
  }

  void read_who() {
    table_.some("clients", client_forms, false, [this](std::string_view text) {
      if (!rule_.clients) {
        rule_.clients.emplace();
      }
      if (text == "unix") {
        rule_.clients->unix_sockets = true;
        return std::string();
      }
      Prefix block;
      std::string problem = parse_network(text, block);
      if (problem.empty()) {
        rule_.clients->networks.add(block);
      }
      return problem;
    });
    table_.some("users", user_forms, false, [this](std::string_view text) {
      if (!rule_.users) {
        rule_.users.emplace();
      }
      if (text.empty() || text.size() > 255) {
        return std::string("it is not 1 to 255 octets long");
      }
      if (text == "*") {
        rule_.users->anyone = true;
      } else {
        rule_.users->names.add(text);
      }
      return std::string();
    });
    table_.some("listeners", "the address of a [[listener]]", false,
                [this](std::string_view text) { return add_listener(text); });
  }

  std::string add_listener(std::string_view text) {
    if (!rule_.listeners) {
      rule_.listeners.emplace();
    }
    const Result<Endpoint> endpoint = Endpoint::parse(text);
    const std::string known = endpoint ? std::string(endpoint->text().view()) : std::string(text);
    if (std::find(listeners_.begin(), listeners_.end(), known) == listeners_.end()) {
      const std::vector<std::string_view> words(listeners_.begin(), listeners_.end());
      const std::string_view meant = nearest(text, words);
      if (meant.empty()) {
        return "no listener has this address";
      }
      return fmt::format("no listener has this address (did you mean \"{}\"?)", escaped(meant));
    }
    rule_.listeners->add(known);
    return {};
  }

  void read_what() {
    words("commands", command_words, rule_.commands);
    table_.some("to", destination_forms, false, [this](std::string_view text) {
      if (!rule_.to) {
        rule_.to.emplace();
      }
      return add_destination(*rule_.to, text);
    });
    table_.some("ports", port_forms, true,
                [this](std::string_view text) { return add_port(rule_.ports, text); });
    words("crossing", crossing_words, rule_.crossing);
  }

  void read_how() {
    for (const std::string_view key : {"families", "prefer", "bind_address"}) {
      if (rule_.action == RuleAction::deny && table_.has(key)) {
        table_.complain(fmt::format("{} works only with action = \"allow\"", key));
      }
    }
    words("families", family_words, rule_.families);
    table_.choice("prefer",
                  {{"ipv6", FamilyPreference::ipv6},
                   {"ipv4", FamilyPreference::ipv4},
                   {"system", FamilyPreference::system}},
                  rule_.prefer);
    table_.some("bind_address", source_forms, false,
                [this](std::string_view text) { return add_source(text); });
  }

  std::string add_source(std::string_view text) {
    const Result<IpAddress> address = IpAddress::parse(text);
    if (!address) {
      return std::string(describe(address.error()));
    }
    if (address->zone() != 0 || address->is_v4_mapped()) {
      return "it has a zone or is an IPv4-mapped address";
    }
    if (address->is_unspecified() || address->is_multicast()) {
      return "this host cannot send from it";
    }
    std::optional<IpAddress>& source = address->is_v4() ? rule_.source_v4 : rule_.source_v6;
    if (source) {
      return "another address of this family is already listed";
    }
    source = *address;
    return {};
  }

  void words(std::string_view key, const std::vector<std::string_view>& known,
             std::optional<Choices>& out) {
    table_.some(key, joined(known), false, [&](std::string_view text) -> std::string {
      if (!out) {
        out.emplace();
      }
      const auto found = std::find(known.begin(), known.end(), text);
      if (found == known.end()) {
        const std::string_view meant = nearest(text, known);
        return meant.empty() ? "it is unknown"
                             : fmt::format("it is unknown (did you mean \"{}\"?)", meant);
      }
      out->add(static_cast<unsigned>(found - known.begin()));
      return {};
    });
  }

  TableReader& table_;
  const std::vector<std::string>& listeners_;
  Rule rule_;
};

}  // namespace

std::string parse_network(std::string_view text, Prefix& out) {
  const Result<Prefix> block = Prefix::parse(text);
  if (block) {
    out = *block;
    return {};
  }
  if (text.find('%') != std::string_view::npos) {
    return "a block cannot have a zone";
  }
  const std::size_t slash = text.find('/');
  const Result<IpAddress> address = IpAddress::parse(text.substr(0, slash));
  if (!address) {
    return std::string(describe(address.error()));
  }
  unsigned length = 0;
  const std::string_view digits =
      slash == std::string_view::npos ? std::string_view() : text.substr(slash + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  const unsigned most = address->is_v4() ? 32 : 128;
  if (error != std::errc{} || end != digits.data() + digits.size() || length > most) {
    return fmt::format("the length after the slash is not 0 to {}", most);
  }
  const Result<Prefix> meant = Prefix::make(*address, length);
  return meant ? fmt::format("it has bits set after its length; write \"{}\"", meant->text().view())
               : std::string(describe(meant.error()));
}

std::string add_destination(DestinationSet& to, std::string_view text) {
  if (text == "*") {
    to.everything = true;
    return {};
  }
  const std::string_view host = text.substr(0, text.find('/'));
  if (IpAddress::parse(host)) {
    Prefix block;
    std::string problem = parse_network(text, block);
    if (problem.empty()) {
      to.networks.add(block);
    }
    return problem;
  }
  const bool below = text.starts_with('.');
  const std::string_view name = below ? text.substr(1) : text;
  std::string problem = name_problem(name);
  if (problem.empty()) {
    to.names.add((below ? "." : "") + *canonical_name(name));
  }
  return problem;
}

std::vector<Rule> read_rules(TableReader& root, const std::vector<std::string>& listeners) {
  std::vector<Rule> rules;
  std::optional<std::string> last;  // the name of the rule behind which none can match
  std::size_t number = 0;
  root.tables("rule", [&](TableReader& table) {
    rules.push_back(RuleReader(table, listeners).read(++number));
    const Rule& rule = rules.back();
    if (last) {
      table.complain(
          fmt::format("the rule can never match: \"{}\" before it matches everything", *last));
    } else if (rule.matches_everything()) {
      last = rule.name;
    }
  });
  return rules;
}

}  // namespace socks64::gateway
