// A listening socket with a path instead of a port: who may connect is a matter of the file's
// permissions, and the file outlives the socket unless somebody removes it.
//
// What can go wrong, and the rules that keep it from going wrong:
// - The file of a gateway that was killed is in the way of the next one. It is removed, but only
//   when it is a socket and the kernel says that nobody listens on it any more.
// - Two gateways with one path must not take clients from each other: the second does not start.
// - Somebody may have replaced our file by the time we end. Only the inode that we made is removed.
// - Permissions are set before listen(2): until then a connect is refused, so nobody slips in while
//   the file has those of the umask.
#ifndef SOCKS64_GATEWAYD_UNIX_SOCKET_HPP
#define SOCKS64_GATEWAYD_UNIX_SOCKET_HPP

#include <string>
#include <string_view>
#include <sys/types.h>
#include <utility>

#include "base/client.hpp"
#include "base/descriptor.hpp"

namespace socks64::gateway {

/// sun_path has room for 108 octets, the NUL among them (unix(7)).
inline constexpr std::size_t longest_socket_path = 107;

/// What is wrong with the path of a socket, or nothing.
[[nodiscard]] std::string socket_path_problem(std::string_view path);

/// The file of a listening socket; removed on destruction if it is still the one that was made.
class SocketFile {
 public:
  SocketFile() noexcept = default;
  /// Notes which inode stands at `path` now.
  explicit SocketFile(std::string path);
  SocketFile(SocketFile&& other) noexcept
      : path_(std::exchange(other.path_, {})), device_(other.device_), inode_(other.inode_) {}
  SocketFile& operator=(SocketFile&& other) noexcept;
  SocketFile(const SocketFile&) = delete;
  SocketFile& operator=(const SocketFile&) = delete;
  ~SocketFile() { remove(); }

  void remove() noexcept;

 private:
  std::string path_;  ///< empty: nothing to remove
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

struct UnixListeningSocket {
  Descriptor socket;
  SocketFile file;
  std::string error;  ///< set when there is no socket: what is wrong, without the path
};

/// Binds, sets the permissions to `mode`, and listens.
[[nodiscard]] UnixListeningSocket open_unix_listener(const std::string& path, mode_t mode,
                                                     int backlog);

/// The process that connected.
[[nodiscard]] Client unix_client(int socket) noexcept;

}  // namespace socks64::gateway

#endif
