#include "authorise/judged_filter.hpp"

#include "base/failure.hpp"

namespace socks64::gateway {

JudgedFilter::JudgedFilter(const Policy& policy, const Requester& requester,
                           const Request& request) noexcept
    : policy_(policy),
      requester_(requester),
      command_(request.command),
      asked_(request.target),
      reason_(describe(Failure::denied)) {}

bool JudgedFilter::operator()(const Endpoint& address) noexcept {
  const Verdict verdict = judge(policy_, requester_, command_, asked_, address);
  if (!verdict.allowed) {
    reason_ = verdict.reason;
    if (reaches(command_)) {
      hint(policy_, requester_, verdict.reason, address);
    }
  }
  return verdict.allowed;
}

bool JudgedFilter::allows(const Endpoint& address) const noexcept {
  return judge(policy_, requester_, command_, asked_, address).allowed;
}

std::optional<IpAddress> JudgedFilter::source(const Endpoint& address) const noexcept {
  return source_address(policy_, requester_, command_, asked_, address);
}

std::optional<FamilyPreference> JudgedFilter::preference() const noexcept {
  return gateway::preference(policy_, requester_, command_, asked_);
}

}  // namespace socks64::gateway
