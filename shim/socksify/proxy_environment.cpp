#include "socksify/proxy_environment.hpp"

#include <algorithm>
#include <charconv>
#include <memory>

#include "socks64/prefix.hpp"

#include "settings/config_site.hpp"
#include "settings/rules.hpp"

namespace socks64::socksify {
namespace {

constexpr std::size_t npos = std::string::npos;

std::string value_of(const Environment& variable, const char* name) {
  const char* const value = variable(name);
  return value != nullptr ? value : "";
}

/// "scheme" of "scheme://...", else empty.
std::string_view scheme_of(std::string_view url) {
  const std::size_t end = url.find("://");
  return end == std::string_view::npos ? std::string_view() : url.substr(0, end);
}

bool speaks_socks5(std::string_view scheme) {
  return shim::equal_ignoring_case(scheme, "socks5") ||
         shim::equal_ignoring_case(scheme, "socks5h") || shim::equal_ignoring_case(scheme, "socks");
}

/// The shim's own form of such a URL.
std::string as_socks5(std::string_view url) {
  return "socks5" + std::string(url.substr(scheme_of(url).size()));
}

/// Empty when the rule is right, else what was expected.
std::string judge(const std::string& rule) {
  return std::string(std::make_unique<shim::Rules>()->add(rule));
}

std::string shown(std::string_view text) {
  return std::string(shim::shown(text).view());
}

/// A list of rules that holds each once: a second one would never match.
class RuleList {
 public:
  void add(std::string_view rule) {
    if (!rule.empty() && std::find(rules_.begin(), rules_.end(), rule) == rules_.end()) {
      rules_.emplace_back(rule);
    }
  }
  [[nodiscard]] std::string text() const {
    std::string out;
    for (const std::string& rule : rules_) {
      out += (out.empty() ? "" : "; ") + rule;
    }
    return out;
  }

 private:
  std::vector<std::string> rules_;
};

/// curl ignores the bits behind a block's length, a rule does not.
std::string without_host_bits(const std::string& entry) {
  const std::size_t slash = entry.find('/');
  if (slash == std::string::npos) {
    return entry;
  }
  const Result<IpAddress> address = IpAddress::parse(entry.substr(0, slash));
  unsigned length = 0;
  if (!address || !shim::parse_decimal(std::string_view(entry).substr(slash + 1), length)) {
    return entry;
  }
  const Result<Prefix> block = Prefix::make(*address, length);
  return block ? std::string(block->text().view()) : entry;
}

/// One entry of no_proxy as the target of a rule.
std::string target_of(std::string entry) {
  if (entry.starts_with("*.")) {
    entry.erase(0, 2);
  } else if (entry.starts_with('.')) {
    entry.erase(0, 1);
  }
  return without_host_bits(entry);
}

void add_no_proxy(const Environment& variable, RuleList& rules, RuleSettings& out) {
  // curl, too, takes the small letters first.
  const char* const name = value_of(variable, "no_proxy").empty() ? "NO_PROXY" : "no_proxy";
  const std::string list = value_of(variable, name);
  std::vector<std::string> entries;
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t end = std::min(list.find_first_of(", \t\n", at), list.size());
    if (end != at) {
      entries.push_back(list.substr(at, end - at));
    }
    at = end + 1;
  }
  if (entries.size() == 1 && entries.front() == "*") {
    rules.add("direct *");
    return;
  }
  for (const std::string& entry : entries) {
    const std::string rule = "direct " + target_of(entry);
    const std::string problem =
        entry.starts_with('*') && !entry.starts_with("*.") ? "'*' must stand alone" : judge(rule);
    if (problem.empty()) {
      rules.add(rule);
    } else {
      out.remarks.push_back(std::string(name) + ": " + shown(entry) + " is ignored: " + problem);
    }
  }
}

bool add_option(const char* option, const char* action, const std::vector<std::string>& targets,
                RuleList& rules, std::string& problem) {
  for (const std::string& target : targets) {
    const std::string rule = std::string(action) + " " + target;
    const bool one_word = !target.empty() && target.find_first_of(" \t\r\n\v\f") == npos;
    std::string wrong = one_word ? judge(rule) : "expected a name, an address block, or *";
    if (!wrong.empty() && target.find(',') != npos) {
      wrong = "expected one target (repeat the option for several)";
    }
    if (!wrong.empty()) {
      problem = std::string(option) + ": " + wrong + ", in " + shown(target);
      return false;
    }
    rules.add(rule);
  }
  return true;
}

}  // namespace

ProxyGateway find_proxy_gateway(const Environment& variable) {
  ProxyGateway out;
  for (const char* name : {"all_proxy", "ALL_PROXY", "SOCKS_SERVER", "SOCKS5_SERVER"}) {
    const std::string value = value_of(variable, name);
    if (value.empty()) {
      continue;
    }
    const std::string_view scheme = scheme_of(value);
    if (speaks_socks5(scheme)) {
      out.variable = name;
      out.url = as_socks5(value);
      return out;
    }
    if (scheme.empty() && std::string_view(name).starts_with("SOCKS")) {
      out.variable = name;
      out.url = "socks5://" + value;
      return out;
    }
    // The value may hold a password: no more of it is shown than a scheme.
    out.remarks.push_back(std::string(name) + " is ignored: it is not a socks5:// URL" +
                          (!scheme.empty() && shim::is_plain_word(scheme)
                               ? ", but " + std::string(scheme) + "://"
                               : ""));
  }
  return out;
}

RuleSettings collect_rules(const RuleOptions& options, const Environment& variable) {
  RuleSettings out;
  RuleList rules;
  if (!add_option("--direct", "direct", options.direct, rules, out.problem) ||
      !add_option("--only", "gateway", options.only, rules, out.problem)) {
    return out;
  }
  const std::string present = value_of(variable, "SOCKS64_RULES");
  for (std::size_t at = 0; at < present.size();) {
    const std::size_t end = std::min(present.find(';', at), present.size());
    rules.add(shim::trimmed(std::string_view(present).substr(at, end - at)));
    at = end + 1;
  }
  if (!options.ignore_no_proxy) {
    add_no_proxy(variable, rules, out);
  }
  if (!options.only.empty()) {
    rules.add("direct *");
  }
  out.rules = rules.text();
  return out;
}

}  // namespace socks64::socksify
