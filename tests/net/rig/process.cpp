#include "rig/process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <optional>
#include <poll.h>
#include <sstream>
#include <stdexcept>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "rig/sockets.hpp"

namespace socks64::gateway::test {
namespace {

using Clock = std::chrono::steady_clock;

struct Pipe {
  Descriptor read;
  Descriptor write;
};

Pipe make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    throw std::runtime_error("pipe");
  }
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

pid_t spawn(const std::vector<std::string>& arguments, int out, int err, unsigned descriptors) {
  std::vector<char*> argv;
  std::string program = GATEWAYD_BINARY;
  argv.push_back(program.data());
  std::vector<std::string> copies = arguments;
  for (std::string& argument : copies) {
    argv.push_back(argument.data());
  }
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (out >= 0) {
      ::dup2(out, STDOUT_FILENO);
    }
    ::dup2(err, STDERR_FILENO);
    if (descriptors != 0) {
      const rlimit limit{descriptors, descriptors};
      ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    ::execv(program.c_str(), argv.data());
    ::_exit(127);
  }
  return pid;
}

int status_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> piece;
  ssize_t got = 0;
  while ((got = ::read(fd, piece.data(), piece.size())) > 0) {
    text.append(piece.data(), static_cast<std::size_t>(got));
  }
  return text;
}

bool is_record(const std::string& line) {
  return line.find(" access id=") != std::string::npos;
}

std::size_t count_of(std::string_view part, std::string_view text) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos;
       at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "gatewayd-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    throw std::runtime_error("mkdtemp");
  }
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryDirectory::write(std::string_view name, std::string_view text) const {
  const std::string file = path(name);
  std::ofstream(file, std::ios::binary) << text;
  return file;
}

Finished run_gatewayd(const std::vector<std::string>& arguments) {
  Pipe out = make_pipe();
  Pipe err = make_pipe();
  const pid_t pid = spawn(arguments, out.write.get(), err.write.get(), 0);
  out.write.close();
  err.write.close();
  Finished finished;
  finished.out = read_all(out.read.get());
  finished.err = read_all(err.read.get());
  int status = 0;
  ::waitpid(pid, &status, 0);
  finished.status = status_of(status);
  return finished;
}

GatewayProcess::GatewayProcess(const Options& options) {
  std::vector<std::string> arguments = options.arguments;
  arguments.push_back("--config");
  arguments.push_back(directory_.write("gatewayd.toml", options.config));
  if (options.loopback) {
    for (const char* open : {"--allow-to", "127.0.0.0/8", "--allow-to", "::1"}) {
      arguments.emplace_back(open);
    }
  }
  auto expected = static_cast<std::size_t>(
      std::count(arguments.begin(), arguments.end(), std::string("--listen")));
  if (expected == 0) {
    expected = count_of("[[listener]]", options.config);
  }
  Pipe err = make_pipe();
  pid_ = spawn(arguments, -1, err.write.get(), options.descriptors);
  err_ = std::move(err.read);
  while (listeners_.size() < expected) {
    constexpr std::string_view words = "listening on ";
    const std::string line = wait_for_log(words);
    if (line.empty()) {
      throw std::runtime_error("gatewayd does not start");
    }
    // A UNIX socket has no endpoint; its test knows the path.
    listeners_.push_back(
        Endpoint::parse(line.substr(line.find(words) + words.size())).value_or(Endpoint{}));
  }
}

GatewayProcess::~GatewayProcess() {
  if (pid_ > 0) {
    ::kill(pid_, SIGTERM);
    ::kill(pid_, SIGTERM);
    const int status = wait_for_end(patience);
    EXPECT_EQ(status, 0) << "gatewayd ended badly: " << read_all(err_.get());
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }
}

void GatewayProcess::signal(int number) const {
  ::kill(pid_, number);
}

std::string GatewayProcess::next_line(const std::function<bool(const std::string&)>& wanted) {
  const auto until = Clock::now() + patience;
  for (;;) {
    const auto found = std::find_if(lines_.begin(), lines_.end(), wanted);
    if (found != lines_.end()) {
      std::string line = std::move(*found);
      lines_.erase(found);
      return line;
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
    pollfd ready{err_.get(), POLLIN, 0};
    if (left.count() <= 0 || ::poll(&ready, 1, static_cast<int>(left.count())) != 1) {
      return {};
    }
    std::array<char, 65536> piece;
    const ssize_t got = ::read(err_.get(), piece.data(), piece.size());
    if (got <= 0) {
      return {};
    }
    partial_.append(piece.data(), static_cast<std::size_t>(got));
    said_.append(piece.data(), static_cast<std::size_t>(got));
    for (std::size_t end = 0; (end = partial_.find('\n')) != std::string::npos;) {
      lines_.push_back(partial_.substr(0, end));
      partial_.erase(0, end + 1);
    }
  }
}

std::string GatewayProcess::wait_for_log(std::string_view part) {
  return next_line([part](const std::string& line) {
    return !is_record(line) && line.find(part) != std::string::npos;
  });
}

Fields GatewayProcess::next_record() {
  const std::string line = next_line(is_record);
  EXPECT_FALSE(line.empty()) << "no access record came";
  Fields fields;
  std::istringstream words(line);
  for (std::string word; words >> word;) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) {
      continue;
    }
    const std::string key = word.substr(0, equals);
    std::string value = word.substr(equals + 1);
    while (value.front() == '"' && (value.size() < 2 || value.back() != '"') && words >> word) {
      value += ' ' + word;
    }
    fields[key] = value;
  }
  return fields;
}

int GatewayProcess::wait_for_end(std::chrono::milliseconds limit) {
  // A pidfd becomes readable when the process ends; 434 is pidfd_open on every architecture.
  Descriptor process(static_cast<int>(::syscall(434, pid_, 0)));
  pollfd ready{process.get(), POLLIN, 0};
  if (::poll(&ready, 1, static_cast<int>(limit.count())) != 1) {
    return -1;
  }
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  return status_of(status);
}

std::size_t GatewayProcess::open_descriptors() const {
  const std::filesystem::directory_iterator entries("/proc/" + std::to_string(pid_) + "/fd");
  return static_cast<std::size_t>(
      std::distance(begin(entries), std::filesystem::directory_iterator{}));
}

long GatewayProcess::processor_time() const {
  std::ifstream file("/proc/" + std::to_string(pid_) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  std::istringstream rest(text.substr(text.rfind(')') + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) {
    rest >> skipped;
  }
  long user = 0;
  long system = 0;
  rest >> user >> system;
  return (user + system) * 1000 / ::sysconf(_SC_CLK_TCK);
}

}  // namespace socks64::gateway::test
