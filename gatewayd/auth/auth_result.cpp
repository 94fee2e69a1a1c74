#include "auth/auth_result.hpp"

#include <fmt/format.h>

#include "socks64/prefix.hpp"

#include "base/escape.hpp"

namespace socks64::gateway {

std::string_view describe(AuthResult result) noexcept {
  switch (result) {
    case AuthResult::good:
      return "good";
    case AuthResult::wrong_password:
      return "wrong-password";
    case AuthResult::unknown_user:
      return "unknown-user";
    case AuthResult::locked_user:
      return "locked-user";
    case AuthResult::broken_hash:
      return "broken-hash";
    case AuthResult::busy:
      return "auth-busy";
    case AuthResult::no_acceptable_method:
      return "no-acceptable-method";
    case AuthResult::interrupted:
      break;
  }
  return "interrupted";
}

std::string failure_line(std::string_view user, const Client& from, AuthResult result) {
  std::string name = escaped(user);
  if (name.front() != '"') {
    name = '"' + name + '"';  // always the same form
  }
  const std::string address = from.process ? std::string(from.text().view())
                                           : std::string(from.endpoint.address.text().view());
  return fmt::format("authentication failed for user {} from {} ({})", name, address,
                     describe(result));
}

std::string turn_of(const Client& from) {
  if (from.process) {
    return fmt::format("unix:{}", from.process->uid);
  }
  const IpAddress& address = from.endpoint.address;
  const Result<Prefix> block = Prefix::make(address, address.is_v4() ? 32 : 64);
  return std::string(block ? block->text().view() : address.text().view());
}

}  // namespace socks64::gateway
