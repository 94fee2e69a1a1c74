// The users file: who may authenticate, and the hash (crypt(3)) of each one's password.
//
//   # a comment
//   alice:$y$j9T$...$...
//   bob:!$6$...$...          locked: "!" or "*" in front, as in shadow(5)
//
// Names are 1 to 255 octets (UNAME of RFC 1929) without ':' and control characters, do not begin
// with '#' and neither begin nor end with a blank. They are compared octet by octet. Hashes are
// those that crypt(5) calls fit for new passwords, and $5$: yescrypt ($y$), gost-yescrypt ($gy$),
// scrypt ($7$), bcrypt ($2b$, $2y$, $2a$), sha512crypt ($6$), sha256crypt ($5$). A password in
// clear, DES, MD5 and whatever else is refused, and so is an empty field, which in shadow(5) means
// that no password is needed. `gatewayd passwd` writes this file (passwd.cpp).
#ifndef SOCKS64_GATEWAYD_USERS_HPP
#define SOCKS64_GATEWAYD_USERS_HPP

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/siphash.hpp"

namespace socks64::gateway {

class UserTable {
 public:
  UserTable() = default;
  UserTable(UserTable&&) = default;
  UserTable& operator=(UserTable&&) = default;
  UserTable(const UserTable&) = delete;  // hashes_ points into users_
  UserTable& operator=(const UserTable&) = delete;

  /// What a password is to be compared with. There is always something to compare with, so that an
  /// unknown name costs what a known one costs.
  struct Entry {
    enum class Kind : std::uint8_t { active, locked, unknown };
    Kind kind = Kind::unknown;
    std::string_view hash;  ///< lives as long as the table; of `active` alone may it match
  };

  /// An unknown name, or one that is locked without a hash, gets the hash of one of the users: the
  /// same as long as the table and `key` are. So the times that unknown names take are spread as
  /// those of known ones are, whatever the hashes in the file cost.
  [[nodiscard]] Entry find(std::string_view name, const SipKey& key) const noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return users_.size(); }

 private:
  friend struct UsersReader;

  struct User {
    std::string hash;  ///< empty: locked without one
    bool locked = false;
  };

  std::map<std::string, User, std::less<>> users_;
  std::vector<const std::string*> hashes_;  ///< of the users that have one, by name
};

struct UsersResult {
  UserTable users;                    ///< good when there are no problems
  std::vector<std::string> problems;  ///< "file:line: what is wrong, what was expected"
  std::vector<std::string> warnings;  ///< what an administrator should know, and nothing more
};

/// A file that is larger is not read. 150,000 users fit.
inline constexpr std::size_t largest_users_file = std::size_t{16} << 20U;

/// `file` is only named in the problems, all of which are found (of very many only the first are
/// told). A problem never shows more of a line than the name in it.
[[nodiscard]] UsersResult parse_users(std::string_view text, std::string_view file);
/// A file that others than its owner and group may write to is refused; one that they may read is
/// worth a warning: hashes can be guessed at by whoever has them.
[[nodiscard]] UsersResult load_users(const std::string& path);

/// What is wrong with a name, or with a password's hash; nothing when it is fit for the file.
[[nodiscard]] std::string_view user_name_problem(std::string_view name) noexcept;
[[nodiscard]] std::string_view hash_problem(std::string_view hash);

/// What there is to compare with when no user has a hash: nobody's, at the cost that
/// `gatewayd passwd` makes hashes at.
inline constexpr std::string_view nobodys_hash =
    "$y$j9T$e7DGUtD7vMdz8lsJERmmb.$0000000000000000000000000000000000000000000";

struct UsersEdit {
  std::string text;
  std::size_t found = 0;  ///< lines that held the user before
};
/// The text of a users file with `hash` for `name`, or without `name` when there is none. All other
/// lines stay as they are, bad ones too.
[[nodiscard]] UsersEdit edit_users(std::string_view text, std::string_view name,
                                   std::optional<std::string_view> hash);

}  // namespace socks64::gateway

#endif
