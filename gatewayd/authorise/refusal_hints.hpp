// Once in a while the log says how what was just refused could be allowed.
#ifndef SOCKS64_GATEWAYD_REFUSAL_HINTS_HPP
#define SOCKS64_GATEWAYD_REFUSAL_HINTS_HPP

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "socks64/address.hpp"

namespace socks64::gateway {

class Log;
struct Requester;

/// Any thread.
class RefusalHints {
 public:
  static constexpr std::chrono::seconds interval{60};

  explicit RefusalHints(Log& log) : log_(log) {}

  /// `reason` as judge() gave it: what a rule denies on purpose gets no hint. `endpoint`: what was
  /// refused. `has_rules`: whether there are rules, before which a new one has to stand.
  void tell(const Requester& requester, std::string_view reason, const Endpoint& endpoint,
            bool has_rules) noexcept;

 private:
  Log& log_;
  std::atomic<std::int64_t> next_{0};  ///< of the steady clock, in seconds
};

}  // namespace socks64::gateway

#endif
