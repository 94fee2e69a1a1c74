// Gateways as URLs: socks5://[USER:PASSWORD@]HOST[:PORT], socks5+unix://[USER:PASSWORD@]/PATH.
#ifndef SOCKS64_SHIM_GATEWAY_URL_HPP
#define SOCKS64_SHIM_GATEWAY_URL_HPP

#include <string_view>

#include "settings/config_site.hpp"

namespace socks64::shim {

/// Sets `out` whole or not at all. False and a problem, which never shows user or password, when
/// the URL is wrong.
bool read_gateway_url(const Site& site, std::string_view url, Gateway& out) noexcept;

/// The same for a list of them, separated by blanks or commas.
bool read_gateway_urls(const Site& site, std::string_view urls, GatewayList& out) noexcept;

/// Reads `USER:PASSWORD`, as it stands in a file of credentials: without escapes, the password to
/// the end of the line. False and a problem, which shows neither.
bool read_credentials(const Site& site, std::string_view text, Gateway& out) noexcept;

}  // namespace socks64::shim

#endif
