// /etc/services, read by ourselves: getservbyname_r would ask nscd, and whatever nsswitch.conf
// names, over a socket.
#ifndef SOCKS64_SHIM_SERVICES_HPP
#define SOCKS64_SHIM_SERVICES_HPP

#include <string_view>

#include "socks64/address.hpp"

namespace socks64::shim {

using ServiceName = TextBuffer<64>;

/// `protocol` as in the file: "tcp", "udp". False when there is no such service.
[[nodiscard]] bool find_service(std::string_view name, std::string_view protocol,
                                Port& port) noexcept;
[[nodiscard]] bool find_service(Port port, std::string_view protocol, ServiceName& name) noexcept;

}  // namespace socks64::shim

#endif
