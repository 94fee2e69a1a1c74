#include "socksify/proxy_environment.hpp"

#include <map>
#include <utility>

#include <gtest/gtest.h>

namespace socks64::socksify {
namespace {

using Variables = std::map<std::string, std::string>;

Environment from(const Variables& variables) {
  return [&variables](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
}

RuleOptions options_of(std::vector<std::string> direct, std::vector<std::string> only) {
  RuleOptions options;
  options.direct = std::move(direct);
  options.only = std::move(only);
  return options;
}

const Variables nothing;

std::string gateway(const Variables& variables) {
  const ProxyGateway found = find_proxy_gateway(from(variables));
  return found.variable + (found.variable.empty() ? "" : "=") + found.url;
}

std::string rules(const Variables& variables, const RuleOptions& options = {}) {
  const RuleSettings settings = collect_rules(options, from(variables));
  EXPECT_EQ("", settings.problem);
  return settings.rules;
}

std::string no_proxy(const std::string& list) {
  return rules({{"no_proxy", list}});
}

std::vector<std::string> remarks(const std::string& list) {
  const Variables variables{{"no_proxy", list}};
  return collect_rules({}, from(variables)).remarks;
}

TEST(ProxyGatewayVariables, NothingIsSet) {
  EXPECT_EQ("", gateway({}));
  EXPECT_EQ("", gateway({{"ALL_PROXY", ""}, {"SOCKS_SERVER", ""}}));
}

TEST(ProxyGatewayVariables, EveryForm) {
  EXPECT_EQ("ALL_PROXY=socks5://192.0.2.1:1080",
            gateway({{"ALL_PROXY", "socks5://192.0.2.1:1080"}}));
  EXPECT_EQ("all_proxy=socks5://a:b@gw.test", gateway({{"all_proxy", "SOCKS5H://a:b@gw.test"}}));
  EXPECT_EQ("all_proxy=socks5://gw.test:1080/", gateway({{"all_proxy", "socks://gw.test:1080/"}}));
  EXPECT_EQ("SOCKS_SERVER=socks5://192.0.2.1:1080", gateway({{"SOCKS_SERVER", "192.0.2.1:1080"}}));
  EXPECT_EQ("SOCKS_SERVER=socks5://[::1]:1080", gateway({{"SOCKS_SERVER", "[::1]:1080"}}));
  EXPECT_EQ("SOCKS_SERVER=socks5://192.0.2.1", gateway({{"SOCKS_SERVER", "socks5h://192.0.2.1"}}));
  EXPECT_EQ("SOCKS5_SERVER=socks5://gw:1", gateway({{"SOCKS5_SERVER", "gw:1"}}));
}

TEST(ProxyGatewayVariables, Order) {
  Variables variables{{"all_proxy", "socks5://1"},
                      {"ALL_PROXY", "socks5://2"},
                      {"SOCKS_SERVER", "3"},
                      {"SOCKS5_SERVER", "4"}};
  EXPECT_EQ("all_proxy=socks5://1", gateway(variables));
  variables["all_proxy"] = "";
  EXPECT_EQ("ALL_PROXY=socks5://2", gateway(variables));
  variables["ALL_PROXY"] = "http://corporate.test:3128";
  EXPECT_EQ("SOCKS_SERVER=socks5://3", gateway(variables));
  variables.erase("SOCKS_SERVER");
  EXPECT_EQ("SOCKS5_SERVER=socks5://4", gateway(variables));
}

TEST(ProxyGatewayVariables, OtherProxiesArePassedOverWithoutTheirSecrets) {
  const struct {
    const char* value;
    std::string remark;
  } table[] = {
      {"http://ann:secret@corporate.test:3128", ", but http://"},
      {"https://ann:secret@corporate.test:3128", ", but https://"},
      {"socks4://192.0.2.1", ", but socks4://"},
      {"socks4a://192.0.2.1", ", but socks4a://"},
      {"corporate.test:3128", ""},
      {"ann:secret@corporate.test:3128", ""},
      {"ann:secret://corporate.test", ""},
      {"://", ""},
      {"direct", ""},
  };
  for (const auto& row : table) {
    const Variables variables{{"ALL_PROXY", row.value}};
    const ProxyGateway found = find_proxy_gateway(from(variables));
    EXPECT_EQ("", found.url) << row.value;
    ASSERT_EQ(1U, found.remarks.size()) << row.value;
    EXPECT_EQ("ALL_PROXY is ignored: it is not a socks5:// URL" + row.remark,
              found.remarks.front());
  }
}

TEST(NoProxy, Nothing) {
  EXPECT_EQ("", rules({}));
  EXPECT_EQ("", no_proxy(""));
  EXPECT_EQ("", no_proxy(" , ,,\t"));
}

TEST(NoProxy, NamesAndTheirForms) {
  EXPECT_EQ("direct localhost; direct corp.test; direct x.test; direct y.test",
            no_proxy("localhost,.corp.test, *.x.test\ty.test"));
  EXPECT_EQ("direct a.test", no_proxy("a.test,.a.test,*.a.test"));
}

TEST(NoProxy, AddressesAndBlocks) {
  EXPECT_EQ(
      "direct 127.0.0.1; direct 10.0.0.0/8; direct 192.168.0.0/16; direct ::1; direct [::1]; "
      "direct fd00::/8",
      no_proxy("127.0.0.1,10.0.0.0/8,192.168.7.7/16,::1,[::1],fd00::1/8"));
  EXPECT_EQ("direct 10.0.0.1:8080; direct [::1]:8080", no_proxy("10.0.0.1:8080,[::1]:8080"));
}

TEST(NoProxy, AStarAloneIsEverything) {
  EXPECT_EQ("direct *", no_proxy("*"));
  EXPECT_EQ("direct *", no_proxy(" * "));
  EXPECT_EQ("direct a.test", no_proxy("a.test,*"));
  EXPECT_EQ(1U, remarks("a.test,*").size());
}

TEST(NoProxy, WhatHasNoEquivalentIsLeftOutAndTold) {
  for (const char* entry : {"a.test:8080", "192.168.", "10.0.0.0/33", "<local>;x", "http://a.test",
                            "a*.test", "[::1", "*:80"}) {
    EXPECT_EQ("", no_proxy(entry)) << entry;
    ASSERT_EQ(1U, remarks(entry).size()) << entry;
    EXPECT_EQ(0U,
              remarks(entry).front().find("no_proxy: '" + std::string(entry) + "' is ignored: "));
  }
  EXPECT_EQ("direct b.test", no_proxy("a.test:8080,b.test"));
}

TEST(NoProxy, SmallLettersGoFirstAndItCanBeIgnored) {
  const Variables variables{{"no_proxy", "small.test"}, {"NO_PROXY", "large.test"}};
  EXPECT_EQ("direct small.test", rules(variables));
  EXPECT_EQ("direct large.test", rules({{"no_proxy", ""}, {"NO_PROXY", "large.test"}}));
  EXPECT_EQ("", rules(variables, {.direct = {}, .only = {}, .ignore_no_proxy = true}));
}

TEST(RuleSettings, TheOrderOfAllSources) {
  EXPECT_EQ("direct d1; direct d2; gateway o1; refuse r1; direct r2; direct n1; direct *",
            rules({{"SOCKS64_RULES", " refuse r1;;direct r2 ; "}, {"no_proxy", "n1"}},
                  options_of({"d1", "d2"}, {"o1"})));
}

TEST(RuleSettings, AnotherSocksifyInsideAddsNothing) {
  Variables variables{{"SOCKS64_RULES", "refuse r1"}, {"no_proxy", "n1"}};
  const RuleOptions options = options_of({"d1"}, {"o1"});
  const std::string first = rules(variables, options);
  variables["SOCKS64_RULES"] = first;
  EXPECT_EQ(first, rules(variables, options));
  EXPECT_EQ(first, rules(variables));
}

TEST(RuleSettings, WrongTargets) {
  const std::string form = "expected a name, an address block, or *";
  const std::string host =
      "expected *, a name like example.com, or an address block like 10.0.0.0/8";
  const struct {
    std::string target;
    std::string problem;
  } table[] = {
      {"", form},
      {"a b", form},
      {" ", form},
      {"*\n", form},
      {"*;refuse", host},
      {"a;b", host},
      {"a,b", "expected one target (repeat the option for several)"},
      {"*:0", "expected a port from 1 to 65535, or LOW-HIGH, after the last ':'"},
  };
  for (const auto& row : table) {
    std::string shown = row.target == "*\n" ? "*?" : row.target;
    EXPECT_EQ("--direct: " + row.problem + ", in '" + shown + "'",
              collect_rules(options_of({row.target}, {}), from(nothing)).problem);
    EXPECT_EQ("--only: " + row.problem + ", in '" + shown + "'",
              collect_rules(options_of({}, {"fine.test", row.target}), from(nothing)).problem);
  }
  EXPECT_EQ("", collect_rules(options_of({}, {"a.test:80"}), from(nothing)).problem);
  EXPECT_NE("", collect_rules(options_of({"a.test:80"}, {}), from(nothing)).problem);
}

}  // namespace
}  // namespace socks64::socksify
