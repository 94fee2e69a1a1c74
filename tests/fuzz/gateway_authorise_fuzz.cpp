// Rules as an operator may write them. What is read is judged: by name first, then by address, for
// addresses of all kinds and for those that the rules themselves are about. Whatever the rules are:
// - what is refused by its name is refused by every address, so nothing was refused too early;
// - what is allowed by its name is allowed by every address but for families and protection;
// - nobody reaches a protected address but by a rule with a block within what is protected.
#include <array>
#include <string>
#include <vector>

#include "authorise/authorise.hpp"
#include "config/config.hpp"
#include "fuzz.hpp"
#include "rules/protection.hpp"

namespace {

using namespace socks64;
using namespace socks64::gateway;
using fuzz::require;

IpAddress address(std::string_view text) {
  return IpAddress::parse(text).value_or(IpAddress());
}

const std::vector<IpAddress>& addresses() {
  static const std::vector<IpAddress> all{
      address("127.0.0.1"),         address("10.1.2.3"),
      address("192.0.2.7"),         address("::1"),
      address("2001:db8::7"),       address("64:ff9b::127.0.0.1"),
      address("64:ff9b::10.0.0.1"), address("2002:7f00:1::1"),
      address("169.254.169.254"),   address("0.0.0.0"),
      address("fe80::1"),           address("198.51.100.7")};
  return all;
}

void check_address(const Policy& policy, const Requester& requester, Command command,
                   const Target& target, const Endpoint& endpoint) {
  const AskedTarget asked(target);
  const Decision before = decide(policy.rules, query_before(policy, requester, command, asked));
  const Decision after =
      decide(policy.rules, query_about(policy, requester, command, asked, endpoint));
  require(after.outcome != Decision::Outcome::open);
  if (before.outcome != Decision::Outcome::open) {
    require(before.outcome == after.outcome);
  }
  const Verdict verdict = judge(policy, requester, command, target, endpoint);
  require(verdict.allowed == verdict.reason.empty());
  if (!judge(policy, requester, command, target).allowed) {
    require(!verdict.allowed);
  }
  if (!verdict.allowed) {
    return;
  }
  require(after.outcome == Decision::Outcome::allow);
  if (protected_as(endpoint.address).empty()) {
    return;
  }
  require(after.rule != nullptr && after.rule->to);
  require(after.rule->to->networks.contains(endpoint.address));
  require(after.rule->to->opened.contains(endpoint.address));
}

void check_request(const Policy& policy, const Requester& requester, const Target& target,
                   Port port) {
  for (const Command command : {Command::connect, Command::udp_associate}) {
    for (const IpAddress& to : addresses()) {
      check_address(policy, requester, command, target, {to, port});
    }
    for (const Rule& rule : policy.rules) {
      if (!rule.to || rule.to->networks.empty()) {
        continue;
      }
      check_address(policy, requester, command, target,
                    {rule.to->networks.blocks().front().network().unmapped(), port});
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ConfigResult result = parse_config(fuzz::as_text({data, size}), "file");
  if (!result.problems.empty() || result.config.rules.size() > 64) {
    return 0;
  }
  const auto policy = make_policy(result.config, {{address("198.51.100.7"), 1080}});
  (void)open_relays(result.config);
  const std::array clients{Client(Endpoint{address("192.0.2.9"), 1}),
                           Client(Endpoint{address("2001:db8::9"), 1}), Client(Client::Process{})};
  for (const Client& client : clients) {
    for (const char* user : {"", "alice"}) {
      const Requester requester{client, 0, user};
      for (const char* name : {"example.com", "www.Example.com.", "a.test"}) {
        for (const Port port : {Port{80}, Port{1080}}) {
          check_request(*policy, requester,
                        NamedEndpoint{DomainName::from(name).value_or(DomainName()), port}, port);
        }
      }
    }
  }
  return 0;
}
