// Where libsocks64.so is, and LD_PRELOAD with it.
#ifndef SOCKS64_SHIM_SOCKSIFY_LIBRARY_PATH_HPP
#define SOCKS64_SHIM_SOCKSIFY_LIBRARY_PATH_HPP

#include <string>
#include <string_view>

namespace socks64::socksify {

/// SOCKS64_LIBRARY when it is set, else beside this executable (a build tree) or in the library
/// directory of its installation. Empty and `problem` when there is none.
[[nodiscard]] std::string find_library(std::string& problem);

/// LD_PRELOAD with `library` in it once, before the libraries that are there already.
[[nodiscard]] std::string preload_list(std::string_view library, std::string_view present);

}  // namespace socks64::socksify

#endif
