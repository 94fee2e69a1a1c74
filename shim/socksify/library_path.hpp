// Where libsocks64.so is, and LD_PRELOAD with it.
#ifndef SOCKS64_SHIM_SOCKSIFY_LIBRARY_PATH_HPP
#define SOCKS64_SHIM_SOCKSIFY_LIBRARY_PATH_HPP

#include <string>
#include <string_view>

namespace socks64::socksify {

struct Library {
  std::string path;   ///< for programs of this command's own class, 64-bit mostly
  std::string other;  ///< for those of the other class, 32-bit; empty: there is none
  /// What LD_PRELOAD has to hold: `path`, or with a library for each class the form of it in which
  /// the loader puts its own class's folder in the place of $LIB (ld.so(8)).
  std::string entry;

  /// For programs of 32 or 64 bits; empty when there is none.
  [[nodiscard]] const std::string& for_class(unsigned bits) const;
};

/// SOCKS64_LIBRARY when it is set, else beside this executable (a build tree) or in the library
/// directory of its installation. An empty path and `problem` when there is none.
[[nodiscard]] Library find_library(std::string& problem);

/// LD_PRELOAD with `library` in it once, before the libraries that are there already.
[[nodiscard]] std::string preload_list(const Library& library, std::string_view present);

}  // namespace socks64::socksify

#endif
