// gatewayd as a child process: started with a configuration of the test's own, watched through its
// stderr, on which its log and its access records arrive.
#ifndef SOCKS64_TESTS_NET_GATEWAY_PROCESS_HPP
#define SOCKS64_TESTS_NET_GATEWAY_PROCESS_HPP

#include <chrono>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "socks64/address.hpp"

#include "base/descriptor.hpp"

namespace socks64::gateway::test {

class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] std::string path(std::string_view name) const { return (path_ / name).string(); }
  std::string write(std::string_view name, std::string_view text) const;

 private:
  std::filesystem::path path_;
};

struct Finished {
  int status = -1;  ///< the exit status; 128 + the signal when it was killed
  std::string out;
  std::string err;
};
/// Runs gatewayd to its end.
Finished run_gatewayd(const std::vector<std::string>& arguments);

/// The fields of an access record.
using Fields = std::map<std::string, std::string>;

class GatewayProcess {
 public:
  struct Options {
    std::string config;  ///< the text of the configuration file
    /// Without any --listen, the listeners are those of `config`.
    std::vector<std::string> arguments{"--listen", "127.0.0.1:0"};
    unsigned descriptors = 0;  ///< RLIMIT_NOFILE; 0: as it is
    bool loopback = true;  ///< whether destinations on loopback, where tests have theirs, are open
  };

  explicit GatewayProcess(const Options& options);
  explicit GatewayProcess(const std::string& config = {}) : GatewayProcess(Options{config}) {}
  /// Asks it to end, and kills it when it does not.
  ~GatewayProcess();
  GatewayProcess(const GatewayProcess&) = delete;
  GatewayProcess& operator=(const GatewayProcess&) = delete;

  [[nodiscard]] const Endpoint& listener(std::size_t index = 0) const { return listeners_[index]; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  void signal(int number) const;

  /// The next line of the log that holds `part`; empty when none comes.
  std::string wait_for_log(std::string_view part);
  /// The next access record, of whichever session.
  Fields next_record();
  /// All that has been read of its log and records so far.
  [[nodiscard]] const std::string& said() const { return said_; }
  /// The exit status; -1 when it does not end.
  int wait_for_end(std::chrono::milliseconds limit);

  [[nodiscard]] std::size_t open_descriptors() const;
  /// User and system time, in milliseconds.
  [[nodiscard]] long processor_time() const;
  [[nodiscard]] const TemporaryDirectory& directory() const { return directory_; }

 private:
  std::string next_line(const std::function<bool(const std::string&)>& wanted);

  TemporaryDirectory directory_;
  pid_t pid_ = -1;
  Descriptor err_;
  std::string partial_;
  std::string said_;
  std::deque<std::string> lines_;
  std::vector<Endpoint> listeners_;
};

}  // namespace socks64::gateway::test

#endif
