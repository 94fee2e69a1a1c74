// `gatewayd passwd`: makes, changes and deletes the entries of a users file.
#ifndef SOCKS64_GATEWAYD_PASSWD_HPP
#define SOCKS64_GATEWAYD_PASSWD_HPP

namespace socks64::gateway {

/// `argv[0]` is the word "passwd" itself. The exit status: 0; 1 when nothing was changed (no such
/// user, no password, a file that cannot be read or written); 2 for wrong options.
[[nodiscard]] int passwd_command(int argc, char** argv);

}  // namespace socks64::gateway

#endif
