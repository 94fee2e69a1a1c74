#include "authorise/refusal_hints.hpp"

#include <string>

#include <fmt/format.h>

#include "socks64/prefix.hpp"

#include "authorise/requester.hpp"
#include "base/log.hpp"

namespace socks64::gateway {
namespace {

bool is_protection(std::string_view reason) noexcept {
  return reason.starts_with("protected-");
}

/// As a rule can have it: without a zone.
std::string in_a_rule(const IpAddress& address) {
  const Result<Prefix> host = Prefix::make(address, address.is_v4() ? 32 : 128);
  return std::string(host ? host->network().text().view() : "");
}

std::string hint(const Requester& requester, std::string_view reason, const Endpoint& endpoint,
                 bool has_rules) {
  const Client& client = requester.client;
  const std::string from = client.process ? "unix" : in_a_rule(client.endpoint.address);
  const std::string to = in_a_rule(endpoint.address);
  std::string text = fmt::format("refused {} to {}: {}. To allow it, ", endpoint.text().view(),
                                 client.text().view(), reason);
  if (is_protection(reason) && reason != "protected-own-listener") {
    text += fmt::format("use --allow-to {}, or ", to);
  }
  // A look-up, and a BIND as a rule, have no port.
  const std::string ports = endpoint.port == 0 ? "" : fmt::format(" | ports = [{}]", endpoint.port);
  text += fmt::format(
      "write these lines: [[rule]] | action = \"allow\" | clients = [\"{}\"] | to = [\"{}\"]{}",
      from, to, ports);
  text += has_rules ? "; put them before the other rules"
                    : "; add a [[rule]] for everything else that is to be allowed, because "
                      "gatewayd denies what no rule allows";
  return text;
}

}  // namespace

void RefusalHints::tell(const Requester& requester, std::string_view reason,
                        const Endpoint& endpoint, bool has_rules) noexcept {
  if (!is_protection(reason) && reason != "no-rule-allows") {
    return;
  }
  using std::chrono::seconds;
  const auto now =
      std::chrono::duration_cast<seconds>(std::chrono::steady_clock::now().time_since_epoch())
          .count();
  std::int64_t next = next_.load(std::memory_order_relaxed);
  if (next != 0 && now < next) {
    return;
  }
  if (!next_.compare_exchange_strong(next, now + interval.count(), std::memory_order_relaxed)) {
    return;
  }
  try {
    log_.warning("{}", hint(requester, reason, endpoint, has_rules));
  } catch (...) {
    // Without memory for a hint there is none.
  }
}

}  // namespace socks64::gateway
