// Has a file changed since it was read?
#ifndef SOCKS64_GATEWAYD_FILE_STAMP_HPP
#define SOCKS64_GATEWAYD_FILE_STAMP_HPP

#include <cstdint>
#include <string>
#include <sys/stat.h>

namespace socks64::gateway {

/// What distinguishes two versions of a file without reading them; all zero for a file that is not
/// there. The inode tells a file that was replaced by rename(2), the size one that was written
/// twice within the clock tick of the file system.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t size = 0;
  std::int64_t seconds = 0;
  std::int64_t nanoseconds = 0;

  [[nodiscard]] static FileStamp of(const std::string& path) noexcept {
    struct stat status {};
    if (path.empty() || ::stat(path.c_str(), &status) != 0) {
      return {};
    }
    return {status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec,
            status.st_mtim.tv_nsec};
  }
  friend bool operator==(const FileStamp&, const FileStamp&) noexcept = default;
};

}  // namespace socks64::gateway

#endif
