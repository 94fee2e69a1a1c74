// The users file: whatever it holds, it is taken whole or refused with lines in printable ASCII;
// what is taken matches the hash that stands there, and an edit changes the one user alone.
#include <algorithm>
#include <string>
#include <string_view>

#include "fuzz.hpp"
#include "users.hpp"

namespace {

using namespace socks64;
using namespace socks64::gateway;
using fuzz::require;
using Kind = UserTable::Entry::Kind;

constexpr SipKey key{0x0706050403020100U, 0x0f0e0d0c0b0a0908U};

void check_problems(const UsersResult& result) {
  require(result.problems.size() <= 101);
  for (const std::string& problem : result.problems) {
    require(problem.substr(0, 5) == "file:");
    require(std::all_of(problem.begin(), problem.end(),
                        [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c < 0x7f; }));
  }
}

bool same(const UserTable& one, const UserTable& other, std::string_view name) {
  const UserTable::Entry a = one.find(name, key);
  const UserTable::Entry b = other.find(name, key);
  // What an unknown name is compared with depends on who else is there.
  return a.kind == b.kind && (a.kind != Kind::active || a.hash == b.hash);
}

void check_edit(std::string_view text, const UserTable& before, std::string_view name) {
  const UsersEdit set = edit_users(text, name, nobodys_hash);
  const UsersResult with = parse_users(set.text, "file");
  require(with.problems.empty());
  require(with.users.find(name, key).kind == Kind::active);
  require(with.users.find(name, key).hash == nobodys_hash);
  require(set.found <= 1);
  require(with.users.size() == before.size() + (set.found == 0 ? 1U : 0U));
  const UsersEdit removed = edit_users(set.text, name, std::nullopt);
  const UsersResult without = parse_users(removed.text, "file");
  require(removed.found == 1 && without.problems.empty());
  require(without.users.size() + 1 == with.users.size());
  require(without.users.find(name, key).kind == Kind::unknown);
  for (const std::string_view other : {"a", "alice", "root"}) {
    require(other == name || same(before, without.users, other));
    require(other == name || same(before, with.users, other));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::as_text({data, size});
  const UsersResult result = parse_users(text, "file");
  check_problems(result);
  for (const std::string_view name : {"a", "alice", "root", ""}) {
    const UserTable::Entry entry = result.users.find(name, key);
    require(hash_problem(entry.hash).empty());
    require(!name.empty() || entry.kind == Kind::unknown);
  }
  const std::string_view line = text.substr(0, text.find('\n'));
  const std::string_view name = line.substr(0, line.find(':'));
  if (result.problems.empty() && user_name_problem(name).empty()) {
    check_edit(text, result.users, name);
    check_edit(text, result.users, "alice");
  }
  (void)edit_users(text, name, std::nullopt);
  (void)hash_problem(text);
  return 0;
}
