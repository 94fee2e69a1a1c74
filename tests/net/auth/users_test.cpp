// The users file: what is read, what is refused and how that is told, and how it is changed.
#include "auth/users.hpp"

#include <crypt.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "auth/auth_result.hpp"
#include "auth/password_pool.hpp"

namespace socks64::gateway {
namespace {

using Kind = UserTable::Entry::Kind;

constexpr SipKey key{1, 2};

const std::string digits43 = "C4/DPgntaBRK3V/JA3dgMoHvuEfcDJBAgvso.T9A4H.";
const std::string digits53 = "BNz7os3h9NQz0SnlihL6VuZXPeDPWw0eBQzkd60IDWDtGSFdqFTwG";
const std::string digits86 =
    "OSAAj.WSK3/Kzna46XKlDWcwEnLh9N7GftHyML7DOjS5.6nhKpIg56d3cqExbGeKqSis/QUZXe4EDG4Qxp5R8/";
const std::string yescrypt = "$y$j9T$e7DGUtD7vMdz8lsJERmmb.$" + digits43;

std::vector<std::string> problems_of(const std::string& text) {
  return parse_users(text, "f").problems;
}

std::string only_problem_of(const std::string& text) {
  const std::vector<std::string> problems = problems_of(text);
  EXPECT_EQ(problems.size(), 1U) << text;
  return problems.empty() ? "" : problems.front();
}

TEST(Users, EveryKindOfHashThatIsFitForPasswords) {
  for (const std::string& hash : {
           yescrypt,
           "$gy$j9T$I7E4vGojVFS3GODOQdUTS0$" + digits43,
           "$7$CU..../....Slx26w5FW8jISVDO6Kuyr0$" + digits43,
           "$2b$05$" + digits53,
           "$2y$12$" + digits53,
           "$2a$05$" + digits53,
           "$6$WPk26nQTnxZ384js$" + digits86,
           "$6$rounds=5000$WPk26nQTnxZ384js$" + digits86,
           "$5$rJaxjLaD6CQJA3NY$" + digits43,
       }) {
    const UsersResult result = parse_users("u:" + hash + "\n", "f");
    EXPECT_TRUE(result.problems.empty()) << result.problems.front();
    const UserTable::Entry entry = result.users.find("u", key);
    EXPECT_EQ(entry.kind, Kind::active) << hash;
    EXPECT_EQ(entry.hash, hash);
  }
}

TEST(Users, CommentsBlankLinesAndEveryEndOfLine) {
  const UsersResult result =
      parse_users("# a:b\n\n \t\n  # c:d\na:" + yescrypt + "\r\nb:" + yescrypt, "f");
  EXPECT_TRUE(result.problems.empty());
  EXPECT_EQ(result.users.size(), 2U);
  EXPECT_EQ(result.users.find("b", key).hash, yescrypt);
  EXPECT_EQ(result.users.find("# a", key).kind, Kind::unknown);
  EXPECT_EQ(parse_users("", "f").users.size(), 0U);
}

TEST(Users, NamesOfEveryOctetButColonAndControls) {
  std::string names;
  for (int octet = 0x21; octet < 0x100; ++octet) {
    if (octet == ':' || octet == '#' || octet == 0x7f) {
      continue;
    }
    const std::string name(1, static_cast<char>(octet));
    EXPECT_TRUE(problems_of(name + ":" + yescrypt).empty()) << octet;
  }
  const std::string longest(255, 'n');
  const UsersResult result = parse_users(longest + ":" + yescrypt + "\na b:" + yescrypt, "f");
  EXPECT_EQ(result.users.find(longest, key).kind, Kind::active);
  EXPECT_EQ(result.users.find("a b", key).kind, Kind::active);
  EXPECT_EQ(result.users.find("A b", key).kind, Kind::unknown);
}

struct Case {
  std::string line;
  std::string problem;
};

TEST(Users, BadLinesAreNamedWithWhatWasExpected) {
  const std::string form = ", expected name:hash with a name of 1 to 255 octets";
  const std::string hashes =
      ", expected a hash of crypt(3) such as \"$y$...\" (made by gatewayd passwd), or \"*\" for a "
      "locked user";
  const std::vector<Case> cases = {
      {"alice", "there is no colon, expected name:hash"},
      {":" + yescrypt, "the name is empty" + form},
      {std::string(256, 'n') + ":" + yescrypt, "the name is longer than 255 octets" + form},
      {"a\tb:" + yescrypt, "the name holds a control character" + form},
      {"a\x7f:" + yescrypt, "the name holds a control character" + form},
      {" a:" + yescrypt, "the name begins or ends with a blank" + form},
      {"a :" + yescrypt, "the name begins or ends with a blank" + form},
      {"a:", "user \"a\": the hash is empty" + hashes},
      {"a:hunter2", "user \"a\": this is not a hash" + hashes},
      {"a:abJnggxhB/yWI", "user \"a\": a DES hash is too weak" + hashes},
      {"a:_J9..rasmBYk8r9AiWNc", "user \"a\": a DES hash is too weak" + hashes},
      {"a:$1$salt$qJH7.N4xYta3aEG/dfqo/0", "user \"a\": an MD5 hash is too weak" + hashes},
      {"a:$sha1$1$a$b", "user \"a\": this kind of hash is unknown" + hashes},
      {"a:$2x$05$" + digits53,
       "user \"a\": a $2x$ hash was made by a bcrypt with a known fault" + hashes},
      {"a:" + yescrypt + ":1:2", "user \"a\": there is more than one colon" + hashes},
      {"a:" + yescrypt.substr(0, 72), "user \"a\": the hash is cut off or damaged" + hashes},
      {"a:" + yescrypt + "x", "user \"a\": the hash is cut off or damaged" + hashes},
      {"a:$y$j9T$" + digits43, "user \"a\": the hash is cut off or damaged" + hashes},
      {"a:$2b$05$" + digits53 + "x", "user \"a\": the hash is cut off or damaged" + hashes},
      {"a:$2b$32$" + digits53, "user \"a\": the hash is cut off or damaged" + hashes},
      {"a:$6$rounds=999$abc$" + digits86, "user \"a\": the hash is cut off or damaged" + hashes},
      {"a:$6$" + digits86, "user \"a\": the hash is cut off or damaged" + hashes},
      {"a\"\xff:", "user \"a\\\"\\xff\": the hash is empty" + hashes},
  };
  for (const Case& wrong : cases) {
    EXPECT_EQ(only_problem_of("# first\n" + wrong.line + "\n"), "f:2: " + wrong.problem);
  }
}

TEST(Users, AProblemNeverShowsWhatMayBeAPassword) {
  for (const char* line : {"hunter2\n", "alice:hunter2\n", "alice:hunter2:x\n", ":hunter2\n"}) {
    EXPECT_EQ(only_problem_of(line).find("hunter2"), std::string::npos) << line;
  }
}

TEST(Users, AllProblemsAreListedAndDuplicatesSayWhere) {
  const std::vector<std::string> problems =
      problems_of("a:" + yescrypt + "\nb\na:*\nb:" + yescrypt + "\na:" + yescrypt + "\n");
  ASSERT_EQ(problems.size(), 3U);
  EXPECT_EQ(problems[0], "f:2: there is no colon, expected name:hash");
  EXPECT_EQ(problems[1], "f:3: user \"a\" is listed twice, expected once: line 1 has it already");
  EXPECT_EQ(problems[2], "f:5: user \"a\" is listed twice, expected once: line 1 has it already");
}

TEST(Users, OfVeryManyProblemsTheFirstAreTold) {
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    text += "bad\n";
  }
  const std::vector<std::string> problems = problems_of(text);
  ASSERT_EQ(problems.size(), 101U);
  EXPECT_EQ(problems.back(), "f: mistakes that are not shown: 900");
}

TEST(Users, BinaryFilesAreOneProblem) {
  EXPECT_EQ(only_problem_of(std::string("a:\0\nb\n", 6)),
            "f:1: this is not a text file, expected lines of name:hash");
}

TEST(Users, LockedOnesAreKnownAndNeverMatch) {
  const UsersResult result = parse_users("a:*\nb:!\nc:!!\nd:!" + yescrypt + "\ne:*LK*\n", "f");
  EXPECT_TRUE(result.problems.empty());
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    const UserTable::Entry entry = result.users.find(name, key);
    EXPECT_EQ(entry.kind, Kind::locked) << name;
    EXPECT_EQ(entry.hash, yescrypt) << "there has to be something that costs what others cost";
  }
}

TEST(Users, UnknownNamesGetOneOfTheHashesAndKeepIt) {
  const std::string other = "$6$WPk26nQTnxZ384js$" + digits86;
  const UsersResult result = parse_users("a:" + yescrypt + "\nb:" + other + "\nc:*\n", "f");
  int first = 0;
  for (int i = 0; i < 200; ++i) {
    const std::string name = "nobody" + std::to_string(i);
    const UserTable::Entry entry = result.users.find(name, key);
    EXPECT_EQ(entry.kind, Kind::unknown);
    EXPECT_TRUE(entry.hash == yescrypt || entry.hash == other);
    EXPECT_EQ(result.users.find(name, key).hash, entry.hash);
    first += entry.hash == yescrypt ? 1 : 0;
  }
  EXPECT_GT(first, 50);
  EXPECT_LT(first, 150);
}

TEST(Users, WithoutAnyHashThereIsOneToComputeAllTheSame) {
  const UserTable none;
  const UserTable::Entry entry = none.find("a", key);
  EXPECT_EQ(entry.kind, Kind::unknown);
  EXPECT_EQ(verify_password(Secret("pw"), entry.hash), PasswordVerdict::wrong) << "not `broken`";
  EXPECT_TRUE(hash_problem(nobodys_hash).empty());
}

TEST(Users, EditsLeaveTheOtherLinesAlone) {
  const std::string text = "# head\nbad line\na:" + yescrypt + "\r\n\nb:*";
  EXPECT_EQ(edit_users(text, "c", "h").text,
            "# head\nbad line\na:" + yescrypt + "\r\n\nb:*\nc:h\n");
  EXPECT_EQ(edit_users(text, "a", "h").text, "# head\nbad line\na:h\n\nb:*\n");
  EXPECT_EQ(edit_users(text, "b", {}).text, "# head\nbad line\na:" + yescrypt + "\r\n\n");
  EXPECT_EQ(edit_users(text, "b", {}).found, 1U);
  EXPECT_EQ(edit_users(text, "c", {}).found, 0U);
  EXPECT_EQ(edit_users("a:1\nb:2\na:3\n", "a", "h").text, "a:h\nb:2\n");
  EXPECT_EQ(edit_users("a:1\nb:2\na:3\n", "a", {}).text, "b:2\n");
  EXPECT_EQ(edit_users("#a:1\n", "#a", {}).found, 0U) << "a comment is no entry";
  EXPECT_EQ(edit_users("", "a", "h").text, "a:h\n");
}

TEST(SipHash, AgreesWithItsPaper) {
  // Appendix A: the key 00..0f, the text 00..0e.
  const SipKey paper{0x0706050403020100U, 0x0f0e0d0c0b0a0908U};
  std::string text;
  for (char octet = 0; octet < 15; ++octet) {
    text.push_back(octet);
  }
  EXPECT_EQ(siphash(paper, text), 0xa129ca6149be45e5U);
}

TEST(SipHash, TellsWhereOneTextEnds) {
  const auto hash = [](std::string_view one, std::string_view other) {
    SipHasher hasher(key);
    hasher.add(one);
    hasher.add(other);
    return hasher.finish();
  };
  EXPECT_NE(hash("ab", "c"), hash("a", "bc"));
  EXPECT_NE(hash("", "a"), hash("a", ""));
  EXPECT_EQ(hash("ab", "c"), hash("ab", "c"));
}

TEST(AuthResults, TheLineCannotBeForged) {
  const Client from = *Endpoint::parse("192.0.2.1:4711");
  EXPECT_EQ(failure_line("alice", from, AuthResult::wrong_password),
            R"(authentication failed for user "alice" from 192.0.2.1 (wrong-password))");
  EXPECT_EQ(failure_line("a\" from 192.0.2.9 (wrong-password)\n\\", from, AuthResult::unknown_user),
            R"(authentication failed for user "a\" from 192.0.2.9 (wrong-password)\x0a\\" )"
            R"(from 192.0.2.1 (unknown-user))");
  EXPECT_EQ(failure_line("", *Endpoint::parse("[2001:db8::1]:1"), AuthResult::no_acceptable_method),
            R"(authentication failed for user "" from 2001:db8::1 (no-acceptable-method))");
  EXPECT_EQ(failure_line("a", Client(Client::Process{1000, 4711}), AuthResult::busy),
            R"(authentication failed for user "a" from unix:1000:4711 (auth-busy))");
}

TEST(AuthResults, WhoTakesTurns) {
  EXPECT_EQ(turn_of(*Endpoint::parse("192.0.2.1:1")), turn_of(*Endpoint::parse("192.0.2.1:2")));
  EXPECT_NE(turn_of(*Endpoint::parse("192.0.2.1:1")), turn_of(*Endpoint::parse("192.0.2.2:1")));
  EXPECT_EQ(turn_of(*Endpoint::parse("[2001:db8::1]:1")),
            turn_of(*Endpoint::parse("[2001:db8::ffff:2]:1")));
  EXPECT_NE(turn_of(*Endpoint::parse("[2001:db8::1]:1")),
            turn_of(*Endpoint::parse("[2001:db8:0:1::1]:1")));
  EXPECT_EQ(turn_of(Client(Client::Process{1, 2})), turn_of(Client(Client::Process{1, 3})));
  EXPECT_NE(turn_of(Client(Client::Process{1, 2})), turn_of(Client(Client::Process{2, 2})));
}

}  // namespace
}  // namespace socks64::gateway
