// What the kernel tells of the registrations in an epoll set.
#ifndef SOCKS64_SHIM_EPOLL_INFO_HPP
#define SOCKS64_SHIM_EPOLL_INFO_HPP

#include <cstdint>
#include <sys/types.h>

namespace socks64::shim {

/// A registration as the kernel has it.
struct KernelRegistration {
  int fd = -1;
  std::uint32_t events = 0;  ///< with EPOLLERR and EPOLLHUP, which epoll_ctl(2) adds
  std::uint64_t data = 0;
  ino_t inode = 0;  ///< of the file that was registered; `fd` may be another one by now

  /// A oneshot that has fired and was not armed again: its mode bits alone are left.
  [[nodiscard]] bool is_spent() const noexcept;
};

/// Reads the registrations of a set one after the other from /proc, with raw system calls and a
/// descriptor that is closed again. Without /proc, or a descriptor, there are none. Leaves errno
/// alone.
class KernelRegistrations {
 public:
  explicit KernelRegistrations(int epfd) noexcept;
  ~KernelRegistrations();
  KernelRegistrations(const KernelRegistrations&) = delete;
  KernelRegistrations& operator=(const KernelRegistrations&) = delete;

  /// False at the end.
  [[nodiscard]] bool next(KernelRegistration& out) noexcept;

 private:
  int file_;
  unsigned have_ = 0;      ///< octets in buffer_
  unsigned position_ = 0;  ///< of the next line
  char buffer_[2048];
};

}  // namespace socks64::shim

#endif
