// A hostent and all it points to, in the caller's buffer.
#ifndef SOCKS64_SHIM_HOST_ENTRY_HPP
#define SOCKS64_SHIM_HOST_ENTRY_HPP

#include <cstddef>
#include <netdb.h>
#include <string_view>

#include "socks64/address.hpp"

#include "names/local_names.hpp"

namespace socks64::shim {

/// The addresses of `family` in `addresses`, under its canonical name. False when `size` octets are
/// too few.
[[nodiscard]] bool write_host_entry(const HostAddresses& addresses, Family family, hostent& entry,
                                    char* buffer, std::size_t size) noexcept;

}  // namespace socks64::shim

#endif
