// What is true of this process and what everybody asks for: its configuration, and whether it came
// from a fork that nobody told us of.
#ifndef SOCKS64_SHIM_RUNTIME_HPP
#define SOCKS64_SHIM_RUNTIME_HPP

#include "settings/config.hpp"

namespace socks64::shim {

/// Precondition: ready() (hooks/start.hpp) has been true.
[[nodiscard]] const Config& config() noexcept;

/// For start-up alone: the Config with its defaults, to be filled. Once.
[[nodiscard]] Config& make_config() noexcept;

/// For start-up alone: from now on take_unseen_fork() can tell.
void make_fork_mark() noexcept;
/// In a child that libc's fork handlers know of.
void set_fork_mark() noexcept;

/// Called where the process id is not the noted one. True, once, in a process with a memory of its
/// own that came by a way libc's fork handlers did not see (a raw system call, _Fork): its process
/// id is noted now, and the caller makes up for what the handlers do. False when the memory is its
/// parent's, or it cannot be told.
[[nodiscard]] bool take_unseen_fork() noexcept;

}  // namespace socks64::shim

#endif
