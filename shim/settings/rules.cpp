#include "settings/rules.hpp"

#include <algorithm>
#include <charconv>
#include <system_error>

#include "host/file_text.hpp"

namespace socks64::shim {
namespace {

constexpr std::size_t npos = std::string_view::npos;

/// RFC 1035 section 2.3.4, as text.
constexpr std::size_t max_name = 253;
constexpr std::size_t max_label = 63;

constexpr std::string_view fine;
constexpr std::string_view expected_rule =
    "expected ACTION TARGET, where ACTION is direct, gateway or refuse";
constexpr std::string_view expected_ports =
    "expected a port from 1 to 65535, or LOW-HIGH, after the last ':'";
constexpr std::string_view expected_block =
    "expected an address block like 10.0.0.0/8 or 2001:db8::/32, with no bits set after its "
    "length; "
    "an IPv6 block with a port needs brackets";
constexpr std::string_view expected_name =
    "expected *, a name like example.com, or an address block like 10.0.0.0/8";

constexpr std::string_view not_a_url =
    "expected a name like example.com or an address block like 10.0.0.0/8, not a URL";

bool read_port(std::string_view text, Port& port) noexcept {
  const Result<Port> read = parse_port(text);
  port = read.value_or(0);
  return port != 0;
}

bool read_ports(std::string_view text, Rule& rule) noexcept {
  const std::size_t dash = text.find('-');
  if (!read_port(part(text, 0, dash), rule.low)) {
    return false;
  }
  rule.high = rule.low;
  return dash == npos || (read_port(part(text, dash + 1), rule.high) && rule.low <= rule.high);
}

std::string_view without_last_dot(std::string_view name) noexcept {
  if (name.ends_with('.')) {
    name.remove_suffix(1);
  }
  return name;
}

/// "10.1", "1.2.3.256", "192.168.": the last label of a name is never a number.
bool ends_in_number(std::string_view host) noexcept {
  host = without_last_dot(host);
  const std::size_t dot = host.rfind('.');
  const std::string_view last = dot == npos ? host : part(host, dot + 1);
  return !last.empty() &&
         std::all_of(last.begin(), last.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// What may stand in a name: anything that is not a blank, a control character, or a sign of this
/// syntax or a neighbouring one.
bool is_name_character(char c) noexcept {
  constexpr std::string_view signs = "*/:;,[]@%\"'\\=";
  return static_cast<unsigned char>(c) > 0x20 && c != 0x7f && signs.find(c) == npos;
}

bool is_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > max_name) {
    return false;
  }
  std::size_t label = 0;
  for (const char c : name) {
    if (c == '.') {
      if (label == 0) {
        return false;
      }
      label = 0;
    } else if (!is_name_character(c) || ++label > max_label) {
      return false;
    }
  }
  return label != 0;
}

}  // namespace

std::string_view Rules::read_name(std::string_view host, Rule& rule) noexcept {
  if (part(host, 0, 2) == "*.") {
    return "'*' must stand alone; for the names below example.com write .example.com";
  }
  rule.host = host.starts_with('.') ? Rule::Host::below : Rule::Host::name;
  const std::string_view name =
      without_last_dot(part(host, rule.host == Rule::Host::below ? 1 : 0));
  if (!is_name(name)) {
    return expected_name;
  }
  if (rule.action == RuleAction::direct && !rule.every_port()) {
    return "a name cannot be direct on some ports only, because it is looked up before the port is "
           "known; leave the port out, or use addresses";
  }
  if (name.size() > max_text - text_size_) {
    return "the names of all rules together are longer than 32 KiB";
  }
  rule.name_at = text_size_;
  rule.name_size = static_cast<std::uint16_t>(name.size());
  std::transform(name.begin(), name.end(), text_.begin() + text_size_, lower);
  return fine;
}

std::string_view Rules::read_target(std::string_view target, Rule& rule) noexcept {
  if (target.find("://") != npos) {
    return not_a_url;
  }
  std::string_view host = target;
  std::string_view ports;
  bool has_ports = false;
  const bool bracketed = target.starts_with('[');
  if (bracketed) {
    const std::size_t end = target.find(']');
    if (end == npos) {
      return "the ']' after the IPv6 address is missing";
    }
    host = part(target, 1, end - 1);
    const std::string_view rest = part(target, end + 1);
    if (!rest.empty() && rest.front() != ':') {
      return "expected ':PORT' or nothing after ']'; write a length inside, [2001:db8::/32]";
    }
    has_ports = !rest.empty();
    ports = part(rest, 1);
  } else if (const std::size_t colon = target.find(':');
             colon != npos && target.find(':', colon + 1) == npos) {
    host = part(target, 0, colon);
    has_ports = true;
    ports = part(target, colon + 1);
  }
  if (has_ports && !read_ports(ports, rule)) {
    return expected_ports;
  }
  if (host == "*" && !bracketed) {
    rule.host = Rule::Host::any;
    return fine;
  }
  if (bracketed || host.find(':') != npos || host.find('/') != npos || ends_in_number(host)) {
    const Result<Prefix> block = Prefix::parse(host);
    if (!block) {
      return expected_block;
    }
    if (bracketed && host.find(':') == npos) {
      return "expected an IPv6 address or block between '[' and ']'";
    }
    rule.host = Rule::Host::block;
    rule.block = *block;
    return fine;
  }
  return read_name(host, rule);
}

std::string_view Rules::add(std::string_view text) noexcept {
  Words words(text);
  std::string_view action;
  std::string_view target;
  std::string_view more;
  if (!words.next(action) || !words.next(target) || words.next(more)) {
    return expected_rule;
  }
  Rule rule;
  if (action == "direct") {
    rule.action = RuleAction::direct;
  } else if (action == "refuse") {
    rule.action = RuleAction::refuse;
  } else if (action != "gateway") {
    return expected_rule;
  }
  if (count_ == max_rules) {
    return "there are more than 512 rules";
  }
  if (const std::string_view problem = read_target(target, rule); !problem.empty()) {
    return problem;
  }
  text_size_ = static_cast<std::uint16_t>(text_size_ + rule.name_size);
  rules_[count_++] = rule;
  return fine;
}

void Rules::bring_forward(std::size_t count) noexcept {
  std::rotate(rules_.begin(), rules_.begin() + std::min<std::size_t>(count, count_),
              rules_.begin() + count_);
}

std::string_view Rules::name_of(const Rule& rule) const noexcept {
  return {text_.data() + rule.name_at, rule.name_size};
}

bool Rules::fits(const Rule& rule, std::string_view name) const noexcept {
  if (rule.host == Rule::Host::any) {
    return true;
  }
  if (rule.host == Rule::Host::block) {
    return false;
  }
  const std::string_view wanted = name_of(rule);
  if (name.size() < wanted.size() ||
      !equal_ignoring_case(part(name, name.size() - wanted.size()), wanted)) {
    return false;
  }
  if (name.size() == wanted.size()) {
    return rule.host == Rule::Host::name;
  }
  // ".example.com" alone has no name in front of its dot.
  return name[name.size() - wanted.size() - 1] == '.' && name.size() > wanted.size() + 1;
}

TextBuffer<288> Rules::text_of(const Rule& rule) const noexcept {
  constexpr std::array<std::string_view, 3> actions{"direct", "gateway", "refuse"};
  const auto append_port = [](TextBuffer<288>& text, char before, Port port) {
    std::array<char, 6> digits{before};
    char* const end = std::to_chars(digits.begin() + 1, digits.end(), port).ptr;
    text.append({digits.data(), static_cast<std::size_t>(end - digits.data())});
  };
  TextBuffer<288> text;
  text.append(actions[static_cast<std::size_t>(rule.action)]);
  text.append(" ");
  const bool bracketed =
      rule.host == Rule::Host::block && !rule.every_port() && rule.block.network().is_v6();
  text.append(bracketed ? "[" : rule.host == Rule::Host::below ? "." : "");
  if (rule.host == Rule::Host::any) {
    text.append("*");
  } else if (rule.host == Rule::Host::block) {
    text.append(rule.block.text());
  } else {
    text.append(name_of(rule));
  }
  text.append(bracketed ? "]" : "");
  if (!rule.every_port()) {
    append_port(text, ':', rule.low);
    if (rule.high != rule.low) {
      append_port(text, '-', rule.high);
    }
  }
  return text;
}

const Rule* Rules::find(const IpAddress& address, Port port) const noexcept {
  for (const Rule& rule : all()) {
    if (rule.has(port) && (rule.host == Rule::Host::any ||
                           (rule.host == Rule::Host::block && rule.block.contains(address)))) {
      return &rule;
    }
  }
  return nullptr;
}

const Rule* Rules::find(std::string_view name, Port port) const noexcept {
  name = without_last_dot(name);
  for (const Rule& rule : all()) {
    if (rule.has(port) && fits(rule, name)) {
      return &rule;
    }
  }
  return nullptr;
}

const Rule* Rules::find(const IpAddress& address) const noexcept {
  for (const Rule& rule : all()) {
    if (rule.host == Rule::Host::any
            ? rule.every_port()
            : rule.host == Rule::Host::block && rule.block.contains(address)) {
      return &rule;
    }
  }
  return nullptr;
}

const Rule* Rules::find(std::string_view name) const noexcept {
  name = without_last_dot(name);
  for (const Rule& rule : all()) {
    if (rule.host == Rule::Host::any ? rule.every_port() : fits(rule, name)) {
      return &rule;
    }
  }
  return nullptr;
}

const Rule* Rules::find_loopback(const IpAddress& address, Port port) const noexcept {
  for (const Rule& rule : all()) {
    if (rule.host == Rule::Host::block && rule.block.network().is_loopback() && rule.has(port) &&
        rule.block.contains(address)) {
      return &rule;
    }
  }
  return nullptr;
}

bool Rules::has_direct_name() const noexcept {
  for (const Rule& rule : all()) {
    if (rule.action == RuleAction::direct &&
        (rule.host == Rule::Host::name || rule.host == Rule::Host::below)) {
      return true;
    }
  }
  return false;
}

bool Rules::everything_direct() const noexcept {
  for (const Rule& rule : all()) {
    if (rule.action != RuleAction::direct) {
      return false;
    }
    if (rule.host == Rule::Host::any && rule.every_port()) {
      return true;
    }
  }
  return false;
}

}  // namespace socks64::shim
