// `gatewayd passwd`, on files and on a terminal.
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <poll.h>
#include <pty.h>
#include <string>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "auth/password_pool.hpp"
#include "auth/users.hpp"
#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {
namespace {

constexpr SipKey key{};

struct Done {
  int status = -1;
  std::string said;  ///< both outputs
};

class Passwd : public ::testing::Test {
 protected:
  /// `input` is a shell's printf format.
  [[nodiscard]] Done run(const std::string& arguments, const std::string& input = "") const {
    const std::string out = directory_.path("out");
    const std::string command = fmt::format("printf '{}' | setsid -w {} passwd {} >{} 2>&1", input,
                                            GATEWAYD_BINARY, arguments, out);
    const int status = std::system(command.c_str());
    std::ifstream said(out);
    Done done{WIFEXITED(status) ? WEXITSTATUS(status) : -1,
              {std::istreambuf_iterator<char>(said), {}}};
    std::filesystem::remove(out);
    return done;
  }
  [[nodiscard]] Done set(const std::string& user, const std::string& password) const {
    return run("-f " + file() + " --stdin " + user, password + "\\n");
  }
  [[nodiscard]] std::string file() const { return directory_.path("users"); }
  [[nodiscard]] std::string content() const {
    std::ifstream in(file());
    return {std::istreambuf_iterator<char>(in), {}};
  }
  [[nodiscard]] PasswordVerdict verify(const std::string& user, const std::string& password) const {
    const UsersResult result = load_users(file());
    EXPECT_TRUE(result.problems.empty());
    const UserTable::Entry entry = result.users.find(user, key);
    EXPECT_EQ(entry.kind, UserTable::Entry::Kind::active) << user;
    return verify_password(Secret(password), entry.hash);
  }
  [[nodiscard]] mode_t mode() const {
    struct stat status {};
    EXPECT_EQ(::stat(file().c_str(), &status), 0);
    return status.st_mode & 07777U;
  }

  TemporaryDirectory directory_;
};

TEST_F(Passwd, MakesChangesAndDeletes) {
  Done done = set("alice", "secret");
  EXPECT_EQ(done.status, 0) << done.said;
  EXPECT_EQ(done.said, file() + ": user alice added\n");
  EXPECT_EQ(mode(), 0600U);
  EXPECT_TRUE(content().starts_with("alice:$y$")) << content();
  EXPECT_EQ(verify("alice", "secret"), PasswordVerdict::good);

  EXPECT_EQ(set("bob", "b").status, 0);
  EXPECT_EQ(set("alice", "other").said, file() + ": user alice changed\n");
  EXPECT_EQ(verify("alice", "other"), PasswordVerdict::good);
  EXPECT_EQ(verify("alice", "secret"), PasswordVerdict::wrong);
  EXPECT_EQ(verify("bob", "b"), PasswordVerdict::good);

  EXPECT_EQ(run("-f " + file() + " -D alice").said, file() + ": user alice deleted\n");
  EXPECT_TRUE(content().starts_with("bob:")) << content();
  done = run("-f " + file() + " --delete alice");
  EXPECT_EQ(done.status, 1);
  EXPECT_NE(done.said.find("the file has no user alice"), std::string::npos) << done.said;
}

TEST_F(Passwd, KeepsModeCommentsAndOtherLines) {
  directory_.write("users", "# ours\n\nbob:!\n");
  std::filesystem::permissions(file(), std::filesystem::perms(0640));
  EXPECT_EQ(set("alice", "secret").status, 0);
  EXPECT_EQ(mode(), 0640U);
  EXPECT_TRUE(content().starts_with("# ours\n\nbob:!\nalice:$y$")) << content();
  const std::filesystem::directory_iterator entries(std::filesystem::path(file()).parent_path());
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1) << "nothing is left lying about";
}

TEST_F(Passwd, KeepsTheOwner) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "NOT RUN: only root can give files away";
  }
  directory_.write("users", "bob:*\n");
  ASSERT_EQ(::chown(file().c_str(), 1234, 4321), 0);
  EXPECT_EQ(set("alice", "secret").status, 0);
  struct stat status {};
  ASSERT_EQ(::stat(file().c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 1234U);
  EXPECT_EQ(status.st_gid, 4321U);
}

TEST_F(Passwd, FollowsALink) {
  const std::string link = directory_.path("link");
  directory_.write("users", "bob:*\n");
  std::filesystem::create_symlink("users", link);
  EXPECT_EQ(run("-f " + link + " --stdin alice", "secret\\n").status, 0);
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(verify("alice", "secret"), PasswordVerdict::good);
}

TEST_F(Passwd, ConcurrentEditsAllArrive) {
  std::string command;
  for (int i = 0; i < 12; ++i) {
    command += fmt::format("printf 'p{0}\\n' | {1} passwd -f {2} --stdin u{0} >/dev/null & ", i,
                           GATEWAYD_BINARY, file());
  }
  ASSERT_EQ(std::system((command + "wait").c_str()), 0);
  EXPECT_EQ(load_users(file()).users.size(), 12U);
  EXPECT_EQ(verify("u0", "p0"), PasswordVerdict::good);
  EXPECT_EQ(verify("u11", "p11"), PasswordVerdict::good);
}

TEST_F(Passwd, RefusesWhatIsNoPasswordOrNoName) {
  directory_.write("users", "bob:*\n");
  struct Wrong {
    std::string arguments;
    std::string input;
    int status;
    std::string said;
  };
  const std::vector<Wrong> cases = {
      {"--stdin alice", "", 1, "the password is empty"},
      {"--stdin alice", "\\n", 1, "the password is empty"},
      {"--stdin alice", std::string(256, 'p') + "\\n", 1, "longer than 255 octets"},
      {"--stdin alice", "a\\000b\\n", 1, "a NUL"},
      {"--stdin a:b", "x\\n", 2, "a colon"},
      {"--stdin '#a'", "x\\n", 2, "begins with \"#\""},
      {"--stdin " + std::string(256, 'n'), "x\\n", 2, "the name is longer than 255"},
      {"--stdin", "x\\n", 2, "USER"},
      {"--stdin alice secret", "x\\n", 2, "secret"},
      {"alice", "x\\n", 1, "there is no terminal"},
  };
  for (const Wrong& wrong : cases) {
    const Done done = run("-f " + file() + " " + wrong.arguments, wrong.input);
    EXPECT_EQ(done.status, wrong.status) << wrong.arguments;
    EXPECT_NE(done.said.find(wrong.said), std::string::npos) << done.said;
  }
  EXPECT_EQ(content(), "bob:*\n");
}

TEST_F(Passwd, SaysWhyAFileCannotBeChanged) {
  EXPECT_EQ(run("-f " + directory_.path("missing/users") + " --stdin a", "x\\n").status, 1);
  EXPECT_EQ(run("-f " + directory_.path("missing") + " -D a").status, 1);
  const Done done = run("-f /dev/null --stdin a", "x\\n");
  EXPECT_EQ(done.status, 1);
  EXPECT_NE(done.said.find("not a regular file"), std::string::npos) << done.said;
}

TEST_F(Passwd, TellsWhatElseIsWrongInTheFile) {
  directory_.write("users", "bob:plain\n");
  const Done done = set("alice", "secret");
  EXPECT_EQ(done.status, 0);
  EXPECT_NE(done.said.find(file() + ":1: user \"bob\": this is not a hash"), std::string::npos)
      << done.said;
}

/// gatewayd passwd with a terminal of its own.
class Terminal {
 public:
  explicit Terminal(const std::string& file) {
    pid_ = ::forkpty(&master_, nullptr, nullptr, nullptr);
    if (pid_ == 0) {
      ::execl(GATEWAYD_BINARY, GATEWAYD_BINARY, "passwd", "-f", file.c_str(), "alice", nullptr);
      ::_exit(127);
    }
  }
  ~Terminal() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(master_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  /// Waits for a prompt, then types.
  void answer(const std::string& prompt, const std::string& typed) {
    while (shown.find(prompt) == std::string::npos) {
      if (!read()) {
        ADD_FAILURE() << "no " << prompt << " but " << shown;
        return;
      }
    }
    ASSERT_EQ(::write(master_, typed.data(), typed.size()), static_cast<ssize_t>(typed.size()));
  }
  [[nodiscard]] bool echoes() const {
    termios settings{};
    EXPECT_EQ(::tcgetattr(master_, &settings), 0);
    return (settings.c_lflag & ECHO) != 0;
  }
  int end() {
    while (read()) {
    }
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  std::string shown;

 private:
  bool read() {
    pollfd ready{master_, POLLIN, 0};
    std::array<char, 1024> piece;
    if (::poll(&ready, 1, 30000) != 1) {
      return false;
    }
    const ssize_t got = ::read(master_, piece.data(), piece.size());
    if (got <= 0) {
      return false;  // EIO: the program has closed its side
    }
    shown.append(piece.data(), static_cast<std::size_t>(got));
    return true;
  }

  int master_ = -1;
  pid_t pid_ = -1;
};

TEST_F(Passwd, AsksTwiceOnTheTerminalWithoutEcho) {
  Terminal terminal(file());
  terminal.answer("New password for alice: ", "secret\n");
  terminal.answer("Repeat the password: ", "secret\n");
  EXPECT_EQ(terminal.end(), 0) << terminal.shown;
  EXPECT_EQ(terminal.shown.find("secret"), std::string::npos) << terminal.shown;
  EXPECT_EQ(verify("alice", "secret"), PasswordVerdict::good);
}

TEST_F(Passwd, TwoPasswordsThatDifferChangeNothing) {
  Terminal terminal(file());
  terminal.answer("New password for alice: ", "secret\n");
  terminal.answer("Repeat the password: ", "Secret\n");
  EXPECT_EQ(terminal.end(), 1);
  EXPECT_NE(terminal.shown.find("differ"), std::string::npos) << terminal.shown;
  EXPECT_FALSE(std::filesystem::exists(file()));
}

TEST_F(Passwd, AnInterruptionBringsTheEchoBack) {
  Terminal terminal(file());
  terminal.answer("New password for alice: ", "sec");
  EXPECT_FALSE(terminal.echoes());
  terminal.answer("New password for alice: ", "\x03");
  EXPECT_EQ(terminal.end(), 128 + SIGINT) << terminal.shown;
  EXPECT_TRUE(terminal.echoes());
  EXPECT_EQ(terminal.shown.find("sec"), std::string::npos) << terminal.shown;
}

}  // namespace
}  // namespace socks64::gateway::test
