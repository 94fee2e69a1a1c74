// The mapping table that the program and everything it starts share.
#ifndef SOCKS64_SHIM_SOCKSIFY_SHARED_TABLE_HPP
#define SOCKS64_SHIM_SOCKSIFY_SHARED_TABLE_HPP

#include <string>

namespace socks64::socksify {

/// Puts SOCKS64_TABLE into the environment: the table of an outer socksify where there is one, else
/// a new file, which is removed when this process, that is to say the program, has ended. Where
/// none can be had every program has a table of its own, and the log says why. `wanted` false: the
/// same, without a word. `argc` and `argv` are those of main(). Empty, or what is wrong with the
/// table that the environment names.
[[nodiscard]] std::string share_table(bool wanted, int argc, char** argv);

}  // namespace socks64::socksify

#endif
