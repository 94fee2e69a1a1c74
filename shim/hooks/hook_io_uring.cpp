// io_uring through liburing, whose functions make their system calls themselves: refused as by a
// kernel without it, so that programs fall back to epoll. hook_syscall.cpp has syscall().
#include <cerrno>
#include <csignal>
#include <cstring>

#include "hooks/io_uring_gate.hpp"
#include "hooks/start.hpp"
#include "host/hook_table.hpp"
#include "process/runtime.hpp"

using namespace socks64::shim;

namespace {

/// liburing's functions return the error as a negative number.
bool is_closed(Hook hook) noexcept {
  return refuses_io_uring() || is_missing(hook);
}

}  // namespace

namespace socks64::shim {

bool refuses_io_uring() noexcept {
  return !ready() || !config().usable() || !config().io_uring;
}

bool is_refused_ring_call(const char* name) noexcept {
  return std::strncmp(name, "io_uring_", 9) == 0 && refuses_io_uring();
}

}  // namespace socks64::shim

S64_EXPORT int io_uring_queue_init(unsigned entries, void* ring, unsigned flags) {
  return is_closed(Hook::io_uring_queue_init) ? -ENOSYS
                                              : libc::io_uring_queue_init(entries, ring, flags);
}

S64_EXPORT int io_uring_queue_init_params(unsigned entries, void* ring, void* params) {
  return is_closed(Hook::io_uring_queue_init_params)
             ? -ENOSYS
             : libc::io_uring_queue_init_params(entries, ring, params);
}

S64_EXPORT int io_uring_queue_init_mem(unsigned entries, void* ring, void* params, void* memory,
                                       std::size_t size) {
  return is_closed(Hook::io_uring_queue_init_mem)
             ? -ENOSYS
             : libc::io_uring_queue_init_mem(entries, ring, params, memory, size);
}

S64_EXPORT int io_uring_queue_init_try_nosqarr(unsigned entries, void* ring, void* params) {
  return is_closed(Hook::io_uring_queue_init_try_nosqarr)
             ? -ENOSYS
             : libc::io_uring_queue_init_try_nosqarr(entries, ring, params);
}

S64_EXPORT int io_uring_setup(unsigned entries, void* params) {
  return is_closed(Hook::io_uring_setup) ? -ENOSYS : libc::io_uring_setup(entries, params);
}

S64_EXPORT int io_uring_enter(unsigned fd, unsigned submit, unsigned wait, unsigned flags,
                              sigset_t* mask) {
  return is_closed(Hook::io_uring_enter) ? -ENOSYS
                                         : libc::io_uring_enter(fd, submit, wait, flags, mask);
}

S64_EXPORT int io_uring_enter2(unsigned fd, unsigned submit, unsigned wait, unsigned flags,
                               void* argument, std::size_t size) {
  return is_closed(Hook::io_uring_enter2)
             ? -ENOSYS
             : libc::io_uring_enter2(fd, submit, wait, flags, argument, size);
}

S64_EXPORT int io_uring_register(unsigned fd, unsigned operation, const void* argument,
                                 unsigned count) {
  return is_closed(Hook::io_uring_register)
             ? -ENOSYS
             : libc::io_uring_register(fd, operation, argument, count);
}

/// Null: the kernel cannot tell what it supports.
S64_EXPORT void* io_uring_get_probe(void) {
  return is_closed(Hook::io_uring_get_probe) ? nullptr : libc::io_uring_get_probe();
}
