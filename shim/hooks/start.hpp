// Start-up and fork. The first hook that is called starts us, which may be long before our
// constructor: another library's constructor, or malloc. There is no destructor: threads of the
// program may call us while it exits.
#ifndef SOCKS64_SHIM_START_HPP
#define SOCKS64_SHIM_START_HPP

namespace socks64::shim {

/// True when the shim is ready. Starts it if needed; false only on a thread that is inside the
/// start-up itself (a hook called by something the start-up calls), or that has asked libc for a
/// gateway's address; it then has to pass the call on.
[[nodiscard]] bool ready() noexcept;

}  // namespace socks64::shim

#endif
