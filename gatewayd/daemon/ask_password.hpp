// A new password from whoever runs the program: typed twice on the terminal, or read from stdin.
#ifndef SOCKS64_GATEWAYD_ASK_PASSWORD_HPP
#define SOCKS64_GATEWAYD_ASK_PASSWORD_HPP

#include <optional>
#include <string>
#include <string_view>

#include "base/secret.hpp"

namespace socks64::gateway {

/// Twice, without echo, on /dev/tty. Nothing, with a line in `problem`, when there is no terminal,
/// when the two differ, or when it is no password (empty, over 255 octets, a NUL in it). A signal
/// that ends the program meanwhile finds the echo switched on again.
[[nodiscard]] std::optional<Secret> ask_password(std::string_view user, std::string& problem);

/// The first line of standard input.
[[nodiscard]] std::optional<Secret> read_password(std::string& problem);

}  // namespace socks64::gateway

#endif
