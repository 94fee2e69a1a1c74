// Changing a users file in place, while others read it or change it, too.
#ifndef SOCKS64_GATEWAYD_USERS_FILE_HPP
#define SOCKS64_GATEWAYD_USERS_FILE_HPP

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace socks64::gateway {

struct FileEdit {
  std::string error;      ///< one line; empty: it worked
  std::size_t found = 0;  ///< lines that held the user before
};

/// edit_users() on a file. The new text is written beside it and renamed over it, with the mode and
/// the owner of the old one, so a reader sees the one or the other and never a part, and a crash
/// loses nothing. A file that is not there is made, with mode 0600; deleting from one is an error.
/// A symbolic link is followed. Concurrent calls wait for each other (flock(2) on the folder).
/// Deleting a user that is not there changes nothing.
[[nodiscard]] FileEdit edit_users_file(const std::string& path, std::string_view name,
                                       std::optional<std::string_view> hash);

}  // namespace socks64::gateway

#endif
