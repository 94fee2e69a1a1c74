// verify_names: whether a name exists, asked of the gateway before a fake address is handed out.
//
// Without it a name that does not exist fails at connect (RFC 3089 section 3). With it the gateway
// is asked by RESOLVE (docs/extensions.md), over a short connection of its own. This happens in
// calls that wait for DNS anyway, getaddrinfo and the gethostby... family, and nowhere else: a
// connect never comes here.
#ifndef SOCKS64_SHIM_NAME_VERIFICATION_HPP
#define SOCKS64_SHIM_NAME_VERIFICATION_HPP

#include <string_view>

namespace socks64::shim {

/// `unknown`: the gateway cannot tell, does not understand the question, or is out of reach. Then
/// the name is to be treated as if nobody had asked; what is wrong shows at connect.
enum class Existence : unsigned char { exists, does_not_exist, unknown };

/// Waits for the gateway, for as long as `timeout` and ten seconds at most. Answers are kept for
/// some seconds, for all threads. A gateway that does not know RESOLVE is not asked again for a
/// minute, one that cannot be reached for five seconds. Leaves errno alone, allocates nothing, and
/// keeps no descriptor.
[[nodiscard]] Existence existence_of(std::string_view name) noexcept;

/// For a scope in which this thread must not wait: existence_of() says at once what is known, or
/// unknown.
class NoWaiting {
 public:
  explicit NoWaiting(bool wanted) noexcept;
  ~NoWaiting();
  NoWaiting(const NoWaiting&) = delete;
  NoWaiting& operator=(const NoWaiting&) = delete;

 private:
  bool before_;
};

/// In the child of a fork: a thread that is not here any more may have held the lock.
void release_verification_lock() noexcept;

}  // namespace socks64::shim

#endif
