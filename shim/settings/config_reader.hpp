// The environment and socks64.conf, read once into a Config.
#ifndef SOCKS64_SHIM_CONFIG_READER_HPP
#define SOCKS64_SHIM_CONFIG_READER_HPP

#include <string_view>

#include "settings/config.hpp"

namespace socks64::shim {

/// Sets one key of the file syntax; false and `config.problem` ("PLACE: ...") when key or value are
/// wrong.
bool set_option(Config& config, std::string_view place, std::string_view key,
                std::string_view value) noexcept;

/// Applies a whole file: `key = value` lines, # comments, blank lines. `path` names it in problems.
/// False on the first problem.
bool apply_file(Config& config, std::string_view path, std::string_view text) noexcept;

/// Everything together, as the shim does at start-up: file, then environment (unless `secure`).
/// Reads with plain system calls; allocates nothing.
void load_config(Config& config, bool secure) noexcept;

}  // namespace socks64::shim

#endif
