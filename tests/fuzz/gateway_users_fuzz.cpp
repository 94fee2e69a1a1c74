// The users file. Whatever it holds, it is taken or refused with printable lines that name the
// place and never show a hash; and what `gatewayd passwd` makes of it is what was asked for.
#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

#include "auth/users.hpp"
#include "fuzz.hpp"

namespace {

using namespace socks64;
using fuzz::require;

constexpr std::string_view some_hash =
    "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/"
    "jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";
constexpr gateway::SipKey key{1, 2};

/// What stands behind the first colon of a line, where it is long enough to be told from words.
void check_no_hash_shows(std::string_view text, std::string_view problem) {
  constexpr std::size_t telling = 16;
  const std::string_view whole = text;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) {
      continue;
    }
    const std::string_view secret = line.substr(colon + 1);
    const bool like_a_hash = secret.size() >= telling && secret.front() == '$' &&
                             std::all_of(secret.begin(), secret.end(), [](unsigned char c) {
                               return c == '$' || c == '.' || c == '/' || std::isalnum(c) != 0;
                             });
    // Somewhere else it may stand in a name, which a problem does show.
    if (!like_a_hash || whole.find(secret) != whole.rfind(secret)) {
      continue;
    }
    require(problem.find(secret) == std::string_view::npos);
  }
}

void check_lines(std::string_view text, const std::vector<std::string>& lines) {
  for (const std::string& line : lines) {
    require(line.substr(0, 4) == "file");
    require(std::all_of(line.begin(), line.end(), [](char c) { return c >= 0x20 && c < 0x7f; }));
    check_no_hash_shows(text, line);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using Kind = gateway::UserTable::Entry::Kind;
  const std::string_view text = fuzz::as_text({data, size});
  const gateway::UsersResult users = gateway::parse_users(text, "file");
  check_lines(text, users.problems);
  check_lines(text, users.warnings);

  // The first line's name is set, and then removed.
  const std::string_view name = text.substr(0, text.find_first_of(":\n"));
  if (!gateway::user_name_problem(name).empty()) {
    return 0;
  }
  const gateway::UsersEdit set = gateway::edit_users(text, name, some_hash);
  const gateway::UsersResult after = gateway::parse_users(set.text, "file");
  if (users.problems.empty()) {
    require(after.problems.empty());
    const auto entry = after.users.find(name, key);
    require(entry.kind == Kind::active && entry.hash == some_hash);
    const bool known = users.users.find(name, key).kind != Kind::unknown;
    require(set.found == (known ? 1U : 0U));
    require(after.users.size() == users.users.size() + (known ? 0 : 1));
  }
  const gateway::UsersEdit gone = gateway::edit_users(set.text, name, std::nullopt);
  require(gone.found >= 1);
  const gateway::UsersResult without = gateway::parse_users(gone.text, "file");
  require(without.users.find(name, key).kind == Kind::unknown);
  return 0;
}
