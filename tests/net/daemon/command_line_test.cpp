// Options, exit codes, and what is said when the gateway cannot start.
#include <filesystem>

#include <gtest/gtest.h>

#include "config/config.hpp"
#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {
namespace {

TEST(CommandLine, Version) {
  const Finished finished = run_gatewayd({"--version"});
  EXPECT_EQ(finished.status, 0);
  EXPECT_EQ(finished.out, "gatewayd " GATEWAYD_VERSION "\n");
}

TEST(CommandLine, HelpNamesEveryOption) {
  const Finished finished = run_gatewayd({"--help"});
  EXPECT_EQ(finished.status, 0);
  for (const char* option : {"--config", "--check-config", "--listen", "--threads", "--log-level",
                             "--access-log", "--version", "Exit status"}) {
    EXPECT_NE(finished.out.find(option), std::string::npos) << option << "\n" << finished.out;
  }
}

TEST(CommandLine, WrongOptionsAreUsageErrors) {
  const std::vector<std::string> wrong[] = {
      {"--nonsense"}, {"--listen", "localhost:1"}, {"--listen", "127.0.0.1"},
      {"--listen"},   {"--threads", "many"},       {"--log-level", "loud"},
      {"stray"}};
  for (const auto& arguments : wrong) {
    const Finished finished = run_gatewayd(arguments);
    EXPECT_EQ(finished.status, 2) << arguments.back();
    EXPECT_EQ(finished.err.find("gatewayd: "), 0U) << finished.err;
    EXPECT_EQ(finished.err.find('\n'), finished.err.size() - 1) << finished.err;
    EXPECT_NE(finished.err.find("--help"), std::string::npos) << finished.err;
  }
  EXPECT_NE(run_gatewayd({"--listen", "localhost:1"}).err.find("localhost:1 is wrong: not an IP"),
            std::string::npos);
}

TEST(CommandLine, AMissingPortIsCalledThat) {
  for (const char* text : {"127.0.0.1", "::1"}) {
    EXPECT_EQ(run_gatewayd({"--listen", text}).err,
              std::string("gatewayd: --listen: ") + text +
                  " is wrong: the port is missing; expected an address and a port such as "
                  "127.0.0.1:1080 or [::1]:1080, or unix:/run/socks64/gateway.sock "
                  "(gatewayd --help shows the options)\n");
  }
  EXPECT_NE(run_gatewayd({"--listen", "127.0.0.1:x"}).err.find("not a port number"),
            std::string::npos);
}

TEST(CommandLine, CheckConfig) {
  const TemporaryDirectory directory;
  const std::string good = directory.write("good.toml", "threads = 1\n");
  const Finished ok = run_gatewayd({"--check-config", "--config", good});
  EXPECT_EQ(ok.status, 0);
  EXPECT_EQ(ok.out, good + ": ok\n");
  EXPECT_EQ(ok.err, "");

  const std::string bad = directory.write("bad.toml", "thread = 1\n[log]\nlevel = \"loud\"\n");
  for (const auto& arguments : {std::vector<std::string>{"--check-config", "--config", bad},
                                std::vector<std::string>{"--config", bad}}) {
    const Finished finished = run_gatewayd(arguments);
    EXPECT_EQ(finished.status, 1);
    EXPECT_EQ(finished.out, "");
    EXPECT_EQ(finished.err, bad + ":1:1: thread: unknown key, did you mean \"threads\"?\n" + bad +
                                ":3:9: log.level: \"loud\" is wrong, expected \"trace\", "
                                "\"debug\", \"info\", \"warning\" or \"error\"\n");
  }
  if (!std::filesystem::exists(GATEWAYD_DEFAULT_CONFIG)) {
    const Finished none = run_gatewayd({"--check-config"});
    EXPECT_EQ(none.status, 0);
    EXPECT_EQ(none.out, "no configuration file (" GATEWAYD_DEFAULT_CONFIG
                        " does not exist): the defaults are ok\n");
  }
  const Finished missing = run_gatewayd({"--check-config", "--config", "/nonexistent"});
  EXPECT_EQ(missing.status, 1);
  EXPECT_EQ(missing.err, "/nonexistent: cannot read: No such file or directory\n");
}

TEST(CommandLine, AFileThatCannotBeSeenCountsAsThere) {
  const TemporaryDirectory directory;
  const std::string there = directory.write("there.toml", "");
  const std::string loop = directory.path("loop");
  std::filesystem::create_symlink("loop", loop);
  EXPECT_EQ(config_file("", there), there);
  EXPECT_EQ(config_file("", directory.path("absent")), "");
  EXPECT_EQ(config_file("", there + "/below-a-file"), "");
  EXPECT_EQ(config_file("", loop), loop) << "ELOOP, as EACCES would be for somebody else than root";
  EXPECT_EQ(config_file("chosen", there), "chosen");
}

TEST(CommandLine, PortInUse) {
  const Destination taken;
  const std::string address(taken.endpoint().text().view());
  const Finished finished = run_gatewayd({"--listen", address});
  EXPECT_EQ(finished.status, 1);
  EXPECT_EQ(finished.err, "gatewayd: cannot listen on " + address + ": Address already in use\n");
}

TEST(CommandLine, SecondGatewayOnTheSamePort) {
  const GatewayProcess first;
  const std::string address(first.listener().text().view());
  const Finished second = run_gatewayd({"--listen", address});
  EXPECT_EQ(second.status, 1);
  EXPECT_EQ(second.err, "gatewayd: cannot listen on " + address + ": Address already in use\n");
}

TEST(CommandLine, AddressThatIsNotOurs) {
  const Finished finished = run_gatewayd({"--listen", "192.0.2.1:1080", "--insecure-open"});
  EXPECT_EQ(finished.status, 1);
  EXPECT_EQ(finished.err,
            "gatewayd: cannot listen on 192.0.2.1:1080: Cannot assign requested address\n");
}

TEST(CommandLine, LogThatCannotBeOpened) {
  const Finished finished =
      run_gatewayd({"--listen", "127.0.0.1:0", "--access-log", "/nonexistent/access"});
  EXPECT_EQ(finished.status, 1);
  EXPECT_EQ(finished.err,
            "gatewayd: cannot open the log /nonexistent/access: No such file or directory\n");
}

}  // namespace
}  // namespace socks64::gateway::test
