// The gateway as a URL: socks5://[USER:PASSWORD@]HOST[:PORT].
#ifndef SOCKS64_SHIM_GATEWAY_URL_HPP
#define SOCKS64_SHIM_GATEWAY_URL_HPP

#include <string_view>

#include "config_site.hpp"

namespace socks64::shim {

/// Sets `out` whole or not at all. False and a problem, which never shows user or password, when
/// the URL is wrong.
bool read_gateway_url(const Site& site, std::string_view url, Gateway& out) noexcept;

}  // namespace socks64::shim

#endif
