// stat(2) that has room for 64-bit inode numbers and sizes in a 32-bit process too: the plain one
// refuses files that need it (EOVERFLOW), and a configuration that cannot be read is closed.
#ifndef SOCKS64_SHIM_FILE_STATUS_HPP
#define SOCKS64_SHIM_FILE_STATUS_HPP

#include <sys/stat.h>

namespace socks64::shim {

#if defined(__GLIBC__) && __SIZEOF_POINTER__ == 4
using FileStatus = struct stat64;
inline int status_of(int fd, FileStatus& status) noexcept {
  return fstat64(fd, &status);
}
inline int status_of(const char* path, FileStatus& status) noexcept {
  return stat64(path, &status);
}
#else
using FileStatus = struct stat;
inline int status_of(int fd, FileStatus& status) noexcept {
  return fstat(fd, &status);
}
inline int status_of(const char* path, FileStatus& status) noexcept {
  return stat(path, &status);
}
#endif

}  // namespace socks64::shim

#endif
