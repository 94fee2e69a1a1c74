// A list of rules, one a line: each is read whole or refused with a reason, and a rule that was
// read matches what it is for and nothing beside it.
#include <memory>
#include <string>

#include "fuzz.hpp"
#include "settings/rules.hpp"

namespace {

using namespace socks64;
using namespace socks64::shim;
using fuzz::require;

void check_name(const Rules& alone, const Rule& rule) {
  const std::string name(alone.name_of(rule));
  const bool below = rule.host == Rule::Host::below;
  require(!name.empty() && name.size() <= 253);
  require((alone.find(name, rule.low) != nullptr) == !below);
  require((alone.find(name + ".", rule.high) != nullptr) == !below);
  require(alone.find("a." + name, rule.high) != nullptr);
  require(alone.find("a." + name) != nullptr);
  require(alone.find("a" + name, rule.low) == nullptr);
  require(alone.find(name + ".a", rule.low) == nullptr || name.find('.') == std::string::npos ||
          (name + ".a").ends_with("." + name));
  require(rule.every_port() || rule.action != RuleAction::direct);
  require(alone.find(IpAddress(), rule.low) == nullptr);
}

void check_block(const Rules& alone, const Rule& rule) {
  // Blocks above ::ffff:0:0/96 hold no address that a comparison would see as IPv6.
  if (rule.block.network().is_v4_mapped()) {
    return;
  }
  require(alone.find(rule.block.network(), rule.low) != nullptr);
  require(alone.find(rule.block.network().mapped(), rule.high) != nullptr);
  require(alone.find(rule.block.network()) != nullptr);
  require(alone.find("a.test", rule.low) == nullptr);
}

void check_alone(std::string_view text) {
  const auto alone = std::make_unique<Rules>();
  const std::string_view problem = alone->add(text);
  require(problem.empty() == (alone->all().size() == 1));
  if (!problem.empty()) {
    return;
  }
  const Rule& rule = alone->all().front();
  require(rule.every_port() || (rule.low >= 1 && rule.low <= rule.high));
  if (!rule.every_port() && rule.high < 65535) {
    require(alone->find(rule.block.network(), static_cast<Port>(rule.high + 1)) == nullptr);
    require(alone->find("a.test", static_cast<Port>(rule.high + 1)) == nullptr);
  }
  switch (rule.host) {
    case Rule::Host::any:
      require(alone->find("a.test", rule.low) != nullptr);
      require(alone->find(IpAddress(), rule.high) != nullptr);
      require((alone->find("a.test") != nullptr) == rule.every_port());
      require(alone->everything_direct() ==
              (rule.every_port() && rule.action == RuleAction::direct));
      break;
    case Rule::Host::block:
      check_block(*alone, rule);
      break;
    case Rule::Host::name:
    case Rule::Host::below:
      check_name(*alone, rule);
      break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = fuzz::as_text({data, size});
  const auto all = std::make_unique<Rules>();
  std::size_t lines = 0;
  std::size_t read = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (++lines <= 16) {
      check_alone(line);  // a list of its own for each takes time
    }
    read += all->add(line).empty() ? 1U : 0U;
    require(all->all().size() == read);
  }
  require(read <= Rules::max_rules);
  const Rule* const first = all->find("host.example.test", 443);
  all->bring_forward(read / 2);
  require((all->find("host.example.test", 443) != nullptr) == (first != nullptr));
  return 0;
}
