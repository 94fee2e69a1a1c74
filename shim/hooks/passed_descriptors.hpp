// Sockets that leave the process inside a message (SCM_RIGHTS). See passed_descriptors.cpp.
#ifndef SOCKS64_SHIM_PASSED_DESCRIPTORS_HPP
#define SOCKS64_SHIM_PASSED_DESCRIPTORS_HPP

#include <sys/socket.h>

namespace socks64::shim {

/// Before a message is sent: waits until the handshakes of the sockets in it are over, since nobody
/// could finish them at the other end. False when a signal interrupted the wait: errno is EINTR.
[[nodiscard]] bool settle_passed_descriptors(const msghdr* message) noexcept;

}  // namespace socks64::shim

#endif
