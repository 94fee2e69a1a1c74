#include "auth/users.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <crypt.h>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "base/descriptor.hpp"
#include "base/escape.hpp"

namespace socks64::gateway {
namespace {

constexpr std::size_t most_problems = 100;

constexpr std::string_view hash_forms =
    "a hash of crypt(3) such as \"$y$...\" (made by gatewayd passwd), or \"*\" for a locked user";

bool is_blank(char c) noexcept {
  return c == ' ' || c == '\t';
}

bool is_control(char c) noexcept {
  const auto octet = static_cast<unsigned char>(c);
  return octet < 0x20 || octet == 0x7f;
}

/// The alphabet of crypt(5)'s numbers to the base of 64.
bool is_digit64(char c) noexcept {
  return (c >= '.' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool all_digits64(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), is_digit64);
}

bool all_decimal(std::string_view text) noexcept {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// Takes what is in front of the next '$', or everything.
std::string_view take_field(std::string_view& rest) noexcept {
  const std::size_t end = std::min(rest.find('$'), rest.size());
  const std::string_view field = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return field;
}

// The forms that crypt(5) gives, behind the prefix.

bool is_yescrypt(std::string_view rest) noexcept {
  const std::string_view parameters = take_field(rest);
  const std::string_view salt = take_field(rest);
  return !parameters.empty() && salt.size() <= 86 && rest.size() == 43 &&
         all_digits64(parameters) && all_digits64(salt) && all_digits64(rest);
}

bool is_scrypt(std::string_view rest) noexcept {
  const std::string_view parameters = take_field(rest);
  return parameters.size() >= 11 && parameters.size() <= 97 && rest.size() == 43 &&
         all_digits64(parameters) && all_digits64(rest);
}

bool is_bcrypt(std::string_view rest) noexcept {
  const std::string_view cost = take_field(rest);
  return cost.size() == 2 && all_decimal(cost) && cost >= "04" && cost <= "31" &&
         rest.size() == 53 && all_digits64(rest);
}

bool is_shacrypt(std::string_view rest, std::size_t digits) noexcept {
  constexpr std::string_view word = "rounds=";
  if (rest.starts_with(word)) {
    const std::string_view rounds = take_field(rest).substr(word.size());
    // 1000 to 999,999,999, without zeros in front.
    if (!all_decimal(rounds) || rounds.size() < 4 || rounds.size() > 9 || rounds[0] == '0') {
      return false;
    }
  }
  const std::string_view salt = take_field(rest);
  return !salt.empty() && salt.size() <= 16 && rest.size() == digits && all_digits64(rest);
}

struct Method {
  std::string_view prefix;
  bool (*has_form)(std::string_view rest) noexcept;
};
constexpr std::array methods{
    Method{"$y$", is_yescrypt},
    Method{"$gy$", is_yescrypt},
    Method{"$7$", is_scrypt},
    Method{"$2b$", is_bcrypt},
    Method{"$2y$", is_bcrypt},
    Method{"$2a$", is_bcrypt},
    Method{"$6$", [](std::string_view rest) noexcept { return is_shacrypt(rest, 86); }},
    Method{"$5$", [](std::string_view rest) noexcept { return is_shacrypt(rest, 43); }},
};

struct Line {
  std::string_view text;  ///< without its end
  std::string_view rest;  ///< what follows it
};

Line take_line(std::string_view text) noexcept {
  const std::size_t end = std::min(text.find('\n'), text.size());
  Line line{text.substr(0, end), text.substr(std::min(end + 1, text.size()))};
  if (line.text.ends_with('\r')) {
    line.text.remove_suffix(1);
  }
  return line;
}

bool is_comment(std::string_view line) noexcept {
  const std::size_t first = line.find_first_not_of(" \t");
  return first == std::string_view::npos || line[first] == '#';
}

std::string quoted(std::string_view text) {
  std::string shown = escaped(text);
  return shown.front() == '"' ? shown : '"' + shown + '"';
}

}  // namespace

std::string_view user_name_problem(std::string_view name) noexcept {
  if (name.empty()) {
    return "the name is empty";
  }
  if (name.size() > 255) {
    return "the name is longer than 255 octets";
  }
  if (std::any_of(name.begin(), name.end(), is_control)) {
    return "the name holds a control character";
  }
  if (name.find(':') != std::string_view::npos) {
    return "the name holds a colon";
  }
  if (name.front() == '#') {
    return "the name begins with \"#\", as comments do";
  }
  if (is_blank(name.front()) || is_blank(name.back())) {
    return "the name begins or ends with a blank";
  }
  return {};
}

std::string_view hash_problem(std::string_view hash) {
  if (hash.empty()) {
    return "the hash is empty";
  }
  if (std::any_of(hash.begin(), hash.end(), is_control)) {
    return "the hash holds a control character";
  }
  if (hash.find(':') != std::string_view::npos) {
    return "there is more than one colon";
  }
  for (const Method& method : methods) {
    if (!hash.starts_with(method.prefix)) {
      continue;
    }
    if (!method.has_form(hash.substr(method.prefix.size()))) {
      return "the hash is cut off or damaged";
    }
    // Legacy is what libcrypt calls $5$ too; what else it calls so is not among our methods.
    const int judged = ::crypt_checksalt(std::string(hash).c_str());
    if (judged != CRYPT_SALT_OK && judged != CRYPT_SALT_METHOD_LEGACY) {
      return "this system's libcrypt does not support this kind of hash";
    }
    return {};
  }
  if (hash.starts_with("$1$")) {
    return "an MD5 hash is too weak";
  }
  if (hash.starts_with("$2x$")) {
    return "a $2x$ hash was made by a bcrypt with a known fault";
  }
  if (hash.starts_with('$')) {
    return "this kind of hash is unknown";
  }
  if (hash.starts_with('_') && hash.size() == 20) {
    return "a DES hash is too weak";
  }
  if (hash.size() == 13 && all_digits64(hash)) {
    return "a DES hash is too weak";
  }
  return "this is not a hash";
}

/// Reads one text into a table.
struct UsersReader {
  std::string_view file;
  UsersResult result;
  std::map<std::string_view, std::size_t> first_lines;  ///< views into the text
  std::size_t line_number = 0;
  std::size_t untold = 0;

  void complain(std::string_view problem) {
    if (result.problems.size() == most_problems) {
      ++untold;
      return;
    }
    result.problems.push_back(fmt::format("{}:{}: {}", file, line_number, problem));
  }

  void read_line(std::string_view line) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) {
      return complain("there is no colon, expected name:hash");  // it may be a password
    }
    const std::string_view name = line.substr(0, colon);
    std::string_view hash = line.substr(colon + 1);
    if (const std::string_view problem = user_name_problem(name); !problem.empty()) {
      return complain(
          fmt::format("{}, expected name:hash with a name of 1 to 255 octets", problem));
    }
    const bool locked = hash.starts_with('!') || hash.starts_with('*');
    if (locked) {
      // Whatever stands behind the mark, nothing matches it.
      hash.remove_prefix(std::min(hash.find_first_not_of("!*"), hash.size()));
      if (!hash_problem(hash).empty()) {
        hash = {};
      }
    } else if (const std::string_view problem = hash_problem(hash); !problem.empty()) {
      return complain(fmt::format("user {}: {}, expected {}", quoted(name), problem, hash_forms));
    }
    const auto [first, fresh] = first_lines.try_emplace(name, line_number);
    if (!fresh) {
      return complain(fmt::format("user {} is listed twice, expected once: line {} has it already",
                                  quoted(name), first->second));
    }
    result.users.users_.try_emplace(std::string(name), UserTable::User{std::string(hash), locked});
  }

  void read(std::string_view text) {
    if (text.find('\0') != std::string_view::npos) {
      line_number = 1;
      return complain("this is not a text file, expected lines of name:hash");
    }
    while (!text.empty()) {
      const Line line = take_line(text);
      text = line.rest;
      ++line_number;
      if (!is_comment(line.text)) {
        read_line(line.text);
      }
    }
    if (untold != 0) {
      result.problems.push_back(fmt::format("{}: mistakes that are not shown: {}", file, untold));
    }
    for (const auto& [name, user] : result.users.users_) {
      if (!user.hash.empty()) {
        result.users.hashes_.push_back(&user.hash);
      }
    }
  }
};

UserTable::Entry UserTable::find(std::string_view name, const SipKey& key) const noexcept {
  // Always both, so that a known name does not show by the time that this takes.
  const std::string_view other =
      hashes_.empty() ? nobodys_hash
                      : std::string_view(*hashes_[siphash(key, name) % hashes_.size()]);
  const auto found = users_.find(name);
  if (found == users_.end()) {
    return {Entry::Kind::unknown, other};
  }
  const User& user = found->second;
  return {user.locked ? Entry::Kind::locked : Entry::Kind::active,
          user.hash.empty() ? other : std::string_view(user.hash)};
}

UsersResult parse_users(std::string_view text, std::string_view file) {
  UsersReader reader;
  reader.file = file;
  reader.read(text);
  return std::move(reader.result);
}

UsersResult load_users(const std::string& path) {
  const auto fail = [&path](std::string_view problem) {
    UsersResult result;
    result.problems.push_back(fmt::format("{}: {}", path, problem));
    return result;
  };
  // O_NONBLOCK: a FIFO without a writer would be waited for.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) {
    return fail(fmt::format("cannot read: {}, expected a users file (gatewayd passwd creates one)",
                            std::strerror(errno)));
  }
  if (!S_ISREG(status.st_mode)) {
    return fail("it is not a regular file, expected a users file");
  }
  if ((status.st_mode & S_IWOTH) != 0) {
    return fail("every user may write to it, expected permissions such as 0640 or 0600");
  }
  std::string text;
  char piece[65536];
  ssize_t got = 1;
  while (got > 0 && text.size() <= largest_users_file) {
    got = ::read(file.get(), piece, sizeof piece);
    if (got > 0) {
      text.append(piece, static_cast<std::size_t>(got));
    }
  }
  if (got < 0) {
    return fail(fmt::format("cannot read: {}", std::strerror(errno)));
  }
  if (text.size() > largest_users_file) {
    return fail(fmt::format("the file is larger than {} MiB", largest_users_file >> 20U));
  }
  UsersResult result = parse_users(text, path);
  if ((status.st_mode & S_IROTH) != 0) {
    result.warnings.push_back(fmt::format(
        "{}: every user may read the password hashes; set permissions such as 0640 or 0600", path));
  }
  return result;
}

UsersEdit edit_users(std::string_view text, std::string_view name,
                     std::optional<std::string_view> hash) {
  UsersEdit edit;
  const auto put_entry = [&] {
    if (!hash) {
      return;
    }
    edit.text.append(name).append(":").append(*hash).append("\n");
  };
  while (!text.empty()) {
    const std::string_view before = text;
    const Line line = take_line(text);
    text = line.rest;
    const std::size_t colon = line.text.find(':');
    if (!is_comment(line.text) && colon != std::string_view::npos &&
        line.text.substr(0, colon) == name) {
      if (edit.found++ == 0) {
        put_entry();  // in its place; what else has the name goes
      }
      continue;
    }
    edit.text.append(before.substr(0, before.size() - text.size()));
    if (!edit.text.ends_with('\n')) {
      edit.text.push_back('\n');
    }
  }
  if (edit.found == 0) {
    put_entry();
  }
  return edit;
}

}  // namespace socks64::gateway
