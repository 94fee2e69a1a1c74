#include "base/client.hpp"

#include <charconv>

namespace socks64::gateway {
namespace {

void append(Client::Text& out, long long number) noexcept {
  char digits[24];
  const std::to_chars_result end = std::to_chars(digits, digits + sizeof digits, number);
  out.append({digits, static_cast<std::size_t>(end.ptr - digits)});
}

}  // namespace

Client::Text Client::text() const noexcept {
  if (!process) {
    return endpoint.text();
  }
  Text out;
  out.append("unix:");
  append(out, process->uid);
  out.append(":");
  append(out, process->pid);
  return out;
}

}  // namespace socks64::gateway
