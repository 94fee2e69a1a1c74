// Start-up and fork. The first hook that is called starts us, which may be long before our
// constructor: another library's constructor, or malloc. There is no destructor: threads of the
// program may call us while it exits.
#ifndef SOCKS64_SHIM_LIFECYCLE_HPP
#define SOCKS64_SHIM_LIFECYCLE_HPP

#include "settings/config.hpp"

namespace socks64::shim {

/// True when the shim is ready. Starts it if needed; false only on a thread that is inside the
/// start-up itself (a hook called by something the start-up calls), or that has asked libc for a
/// gateway's address; it then has to pass the call on.
[[nodiscard]] bool ready() noexcept;

/// Called where the process id is not the noted one. True when this is a process with a memory of
/// its own that came by a way libc's fork handlers did not see: what they do has been made up for.
/// False when the memory is its parent's, or it cannot be told.
[[nodiscard]] bool adopt_unseen_fork() noexcept;

/// Precondition: ready() has been true.
[[nodiscard]] const Config& config() noexcept;

}  // namespace socks64::shim

#endif
