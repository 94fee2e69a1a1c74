// The options of the command line as the settings that the shim reads.
#ifndef SOCKS64_SHIM_SOCKSIFY_SETTINGS_HPP
#define SOCKS64_SHIM_SOCKSIFY_SETTINGS_HPP

#include <string>
#include <vector>

#include "settings/config.hpp"
#include "socksify/command_line.hpp"

namespace socks64::socksify {

struct Setting {
  std::string variable;
  std::string value;
};

/// What the options say, as variables. Empty and `problem` when one is wrong: a mistake is better
/// told here than by a connection that fails. An option that the shim does not know is wrong, too.
/// What the variables of other programs say (proxy_environment.hpp) is among them; `remarks` tells
/// what of it was passed over.
[[nodiscard]] std::vector<Setting> settings_of(const CommandLine& line,
                                               std::vector<std::string>& remarks,
                                               std::string& problem);

/// Where the gateway is from: an option, a variable or a file; to be asked before apply_settings().
[[nodiscard]] std::string origin_of_gateway(const CommandLine& line);

/// Puts them into the environment, where the shim looks, and judges the whole as the shim will.
/// False and `problem` when it cannot be used.
[[nodiscard]] bool apply_settings(const std::vector<Setting>& settings, shim::Config& whole,
                                  std::string& problem);

/// Warns of files with a password that everybody may read. Only files of the user's own choice:
/// /etc/socks64/socks64.conf has to be readable for everybody whose programs use it.
void warn_about_passwords();

/// `export NAME='VALUE'`, a line each, for a POSIX shell.
void print_settings(const std::vector<Setting>& settings);

}  // namespace socks64::socksify

#endif
