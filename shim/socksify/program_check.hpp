// Whether a program can be intercepted: what of it the library cannot see, and why.
#ifndef SOCKS64_SHIM_SOCKSIFY_PROGRAM_CHECK_HPP
#define SOCKS64_SHIM_SOCKSIFY_PROGRAM_CHECK_HPP

#include <string>
#include <vector>

#include "socksify/library_path.hpp"

namespace socks64::socksify {

struct Finding {
  bool obstacle = false;  ///< connections would go around the gateway, or the program not start
  std::string text;       ///< one line, naming the file
};

/// Judges what `command` would run: the program, and when it is a script (or env), what runs in its
/// place. `library`: its path is empty when there is none. Opens files for reading
/// and runs nothing.
[[nodiscard]] std::vector<Finding> check_program(const std::vector<std::string>& command,
                                                 const Library& library);

}  // namespace socks64::socksify

#endif
