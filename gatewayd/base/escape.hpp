// What peers and files say, made fit for a line of a log or a message.
#ifndef SOCKS64_GATEWAYD_ESCAPE_HPP
#define SOCKS64_GATEWAYD_ESCAPE_HPP

#include <string>
#include <string_view>

#include <fmt/format.h>

namespace socks64::gateway {

/// Appends `text` so that it stays one word of one line whatever a peer put into it: as it is when
/// it holds only letters, digits and `-._~:/[]%@+,>`, else in double quotes, with `"` and `\`
/// escaped by a backslash and every octet outside printable ASCII as \xHH.
void append_escaped(fmt::memory_buffer& out, std::string_view text);
[[nodiscard]] std::string escaped(std::string_view text);

/// `text` in one line of printable ASCII: every octet outside of that as \xHH, all else as it is.
[[nodiscard]] std::string printable(std::string_view text);

/// Appends `text` as a JSON string, quotes included. Octets from 0x80 on become \u0080 to \u00ff,
/// each for itself: a name from a peer need not be UTF-8, but a log has to be.
void append_json_string(fmt::memory_buffer& out, std::string_view text);

}  // namespace socks64::gateway

#endif
