// What the command line and the variables of other programs (curl's ALL_PROXY and NO_PROXY, Dante's
// SOCKS_SERVER) say of gateways and rules, in the shim's own terms. Pure.
#ifndef SOCKS64_SHIM_SOCKSIFY_PROXY_ENVIRONMENT_HPP
#define SOCKS64_SHIM_SOCKSIFY_PROXY_ENVIRONMENT_HPP

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace socks64::socksify {

/// getenv(), or what a test puts in its place.
using Environment = std::function<const char*(const char*)>;

struct ProxyGateway {
  std::string variable;              ///< where it stands, for messages; empty: nowhere
  std::string url;                   ///< as SOCKS64_GATEWAY takes it, not judged yet
  std::vector<std::string> remarks;  ///< what was passed over, and why
};

/// The first that is set and speaks SOCKS 5: all_proxy, ALL_PROXY (socks5://, socks5h://, or
/// socks:// as desktops write it), SOCKS_SERVER, SOCKS5_SERVER (HOST:PORT, or such a URL). Proxies
/// of other kinds are passed over with a remark: they are for other programs. To be asked when
/// neither -g nor SOCKS64_GATEWAY is given.
[[nodiscard]] ProxyGateway find_proxy_gateway(const Environment& variable);

struct RuleOptions {
  std::vector<std::string> direct;  ///< targets of --direct
  std::vector<std::string> only;    ///< targets of --only
  bool ignore_no_proxy = false;     ///< --ignore-no-proxy
};

struct RuleSettings {
  std::string rules;                 ///< for SOCKS64_RULES; may be empty
  std::string problem;               ///< an option that is wrong, naming it
  std::vector<std::string> remarks;  ///< what of no_proxy was left out, and why
};

/// All rules in their order: --direct, --only, SOCKS64_RULES (not judged here), no_proxy (or
/// NO_PROXY), and with --only the end of them, `direct *`. What stands in the list already is not
/// added again.
///
/// no_proxy as curl reads it: names and address blocks between commas or blanks; a leading "." or
/// "*." means nothing, since every name stands for what is below it, too; "*" alone makes
/// everything direct. What has no equivalent, a port behind a name say, is left out: it goes
/// through the gateway.
[[nodiscard]] RuleSettings collect_rules(const RuleOptions& options, const Environment& variable);

}  // namespace socks64::socksify

#endif
