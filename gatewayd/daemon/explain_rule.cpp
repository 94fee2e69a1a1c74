#include "daemon/explain_rule.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include <asio/io_context.hpp>
#include <fmt/format.h>

#include "authorise/authorise.hpp"
#include "authorise/policy.hpp"
#include "base/escape.hpp"
#include "config/config_reader.hpp"
#include "resolve/resolve.hpp"

namespace socks64::gateway {
namespace {

constexpr int allowed = 0;
constexpr int denied = 1;
constexpr int unclear = 2;

struct RequestInWords {
  Requester requester;
  std::string listener;
  bool has_client = false;
  Command command = Command::connect;
  std::optional<Target> target;
  std::vector<IpAddress> addresses;
  bool resolve = false;
};

std::string read_client(std::string_view text, RequestInWords& question) {
  question.has_client = true;
  if (text == "unix") {
    question.requester.client = Client(Client::Process{});
    return {};
  }
  if (const Result<IpAddress> address = IpAddress::parse(text)) {
    question.requester.client = Client(Endpoint{address->unmapped(), 0});
    return {};
  }
  const Result<Endpoint> endpoint = Endpoint::parse(text);
  if (!endpoint) {
    return "expected an address, or \"unix\"";
  }
  question.requester.client = Client(Endpoint{endpoint->address.unmapped(), endpoint->port});
  return {};
}

std::string read_command(std::string_view text, RequestInWords& question) {
  const std::vector<std::string_view> words{"connect", "bind", "udp", "resolve"};
  constexpr std::array commands{Command::connect, Command::bind, Command::udp_associate,
                                Command::resolve};
  const auto found = std::find(words.begin(), words.end(), text);
  if (found == words.end()) {
    return "expected connect, bind, udp or resolve";
  }
  question.command = commands.at(static_cast<std::size_t>(found - words.begin()));
  return {};
}

std::string read_target(std::string_view text, RequestInWords& question) {
  if (const Result<Endpoint> endpoint = Endpoint::parse(text)) {
    question.target = *endpoint;
    return {};
  }
  if (const Result<IpAddress> address = IpAddress::parse(text)) {
    question.target = Endpoint{*address, 0};
    return {};
  }
  const std::size_t colon = text.rfind(':');
  NamedEndpoint named;
  std::string_view name = text;
  if (colon != std::string_view::npos) {
    const Result<Port> port = parse_port(text.substr(colon + 1));
    if (!port) {
      return "the port is not a number from 0 to 65535";
    }
    named.port = *port;
    name = text.substr(0, colon);
  }
  const Result<DomainName> domain = DomainName::from(name);
  if (!domain) {
    return "expected a name or an address, and a port: \"example.com:443\"";
  }
  named.name = *domain;
  question.target = named;
  return {};
}

std::string read_word(std::string_view key, std::string_view value, RequestInWords& question) {
  if (key == "client") {
    return read_client(value, question);
  }
  if (key == "command") {
    return read_command(value, question);
  }
  if (key == "target") {
    return read_target(value, question);
  }
  if (key == "user") {
    question.requester.user = value;
    return {};
  }
  if (key == "listener") {
    question.listener = value;
    return {};
  }
  if (key == "address") {
    const Result<IpAddress> address = IpAddress::parse(value);
    if (!address) {
      return "expected an address";
    }
    question.addresses.push_back(address->unmapped());
    return {};
  }
  if (key == "resolve") {
    if (value != "yes" && value != "no") {
      return "expected yes or no";
    }
    question.resolve = value == "yes";
    return {};
  }
  const std::string_view meant =
      nearest(key, {"client", "user", "target", "command", "listener", "address", "resolve"});
  if (!meant.empty()) {
    return fmt::format("unknown, did you mean \"{}\"?", meant);
  }
  return "unknown, expected client, user, target, command, listener, address or resolve";
}

/// What is wrong with the request, or nothing.
std::string read_question(std::string_view text, const Config& config, RequestInWords& question) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word.empty()) {
      continue;
    }
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos) {
      return fmt::format("{} is not KEY=VALUE", escaped(word));
    }
    const std::string problem =
        read_word(word.substr(0, equals), word.substr(equals + 1), question);
    if (!problem.empty()) {
      return fmt::format("{}: {}", escaped(word), problem);
    }
  }
  if (!question.has_client) {
    return "client= is missing";
  }
  if (question.command == Command::udp_associate && !question.target) {
    question.target = Target();
  }
  if (!question.target) {
    return "target= is missing";
  }
  if (question.listener.empty()) {
    return {};
  }
  std::string known;
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    const std::string name = config.listeners[i].address.text();
    if (name == question.listener) {
      question.requester.listener = i;
      return {};
    }
    known += (known.empty() ? "" : ", ") + name;
  }
  return fmt::format("listener={}: no listener has this address, expected one of: {}",
                     escaped(question.listener), known);
}

/// A line for each rule up to the one that decides.
void tell_rules(const Policy& policy, const RuleQuery& query) {
  if (policy.rules.empty()) {
    return fmt::print("  no rules: everybody may do everything\n");
  }
  for (const Rule& rule : policy.rules) {
    const std::string_view action = rule.action == RuleAction::allow ? "allow" : "deny";
    const Match found = match(rule, query);
    switch (found.certainty) {
      case Certainty::no:
        fmt::print("  {}: {}: does not match because of its {}\n", rule.name, action,
                   describe(found.criterion));
        break;
      case Certainty::maybe:
        fmt::print("  {}: {}: may match, depending on its {}\n", rule.name, action,
                   describe(found.criterion));
        break;
      case Certainty::yes:
        return fmt::print("  {}: {}: matches\n", rule.name, action);
    }
  }
  fmt::print("  no rule matches: deny\n");
}

std::vector<Endpoint> tcp_listeners(const Config& config) {
  std::vector<Endpoint> endpoints;
  for (const ListenerConfig& listener : config.listeners) {
    if (!listener.address.is_unix()) {
      endpoints.push_back(listener.address.endpoint);
    }
  }
  return endpoints;
}

std::vector<IpAddress> look_up(const Config& config, const DomainName& name) {
  asio::io_context context{1};
  Resolver resolver(config.resolver);
  std::array<Resolver::Inquiry, 2> inquiries;
  std::vector<IpAddress> found;
  unsigned waiting = 0;
  const auto take = [&found](const Answer& answer) {
    for (const IpAddress& address : answer.addresses) {
      found.push_back(address.unmapped());
    }
  };
  const auto work = asio::make_work_guard(context);
  for (const Family family : {Family::ipv6, Family::ipv4}) {
    const std::optional<Answer> known = resolver.ask(
        name, family, context.get_executor(),
        [&take, &waiting](const Answer& answer) {
          take(answer);
          --waiting;
        },
        inquiries.at(family == Family::ipv6 ? 0 : 1));
    if (known) {
      take(*known);
    } else {
      ++waiting;
    }
  }
  while (waiting != 0) {
    context.run_one();
  }
  return found;
}

int tell(const Verdict& verdict) {
  if (verdict.allowed) {
    fmt::print("allowed\n");
    return allowed;
  }
  fmt::print("denied: {}\n", verdict.reason);
  return denied;
}

}  // namespace

int explain_rule(std::string_view request, const Config& config) {
  RequestInWords question;
  const std::string problem = read_question(request, config, question);
  if (!problem.empty()) {
    fmt::print(stderr, "gatewayd: --explain-rule: {}\n", problem);
    return unclear;
  }
  const auto policy = make_policy(config, tcp_listeners(config));
  const Requester& requester = question.requester;
  const Target& target = *question.target;
  const AskedTarget asked(target);
  const RuleQuery before = query_before(*policy, requester, question.command, asked);
  fmt::print("as requested: {}\n", escaped(text(target).view()));
  tell_rules(*policy, before);
  const Verdict verdict = judge(*policy, requester, question.command, target);
  if (!verdict.allowed || before.address) {
    return tell(verdict);
  }

  if (question.resolve && question.addresses.empty() && !asked.name().empty()) {
    question.addresses = look_up(config, std::get<NamedEndpoint>(target).name);
    if (question.addresses.empty()) {
      fmt::print("the look-up found no address of the name\n");
    }
  }
  if (question.addresses.empty()) {
    if (decide(policy->rules, before).outcome == Decision::Outcome::allow) {
      fmt::print("allowed, except for protected addresses\n");
      return allowed;
    }
    fmt::print("it depends on the address: add address=... or resolve=yes\n");
    return unclear;
  }
  bool one = false;
  for (const IpAddress& address : question.addresses) {
    const Endpoint endpoint{address, asked.port()};
    fmt::print("address {}:\n", address.text().view());
    tell_rules(*policy, query_about(*policy, requester, question.command, asked, endpoint));
    const Verdict judged = judge(*policy, requester, question.command, target, endpoint);
    fmt::print("  {}{}\n", judged.allowed ? "allowed" : "denied: ", judged.reason);
    one = one || judged.allowed;
  }
  fmt::print("{}\n", one ? "allowed" : "denied");
  return one ? allowed : denied;
}

}  // namespace socks64::gateway
