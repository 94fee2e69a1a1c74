// Addresses judged one by one for a request, with the reason of the last refusal.
#include "authorise/judged_filter.hpp"

#include <functional>

#include <gtest/gtest.h>

#include "base/failure.hpp"

namespace socks64::gateway {
namespace {

Endpoint at(std::string_view text) {
  const Result<Endpoint> endpoint = Endpoint::parse(text);
  EXPECT_TRUE(endpoint) << text;
  return endpoint.value_or(Endpoint());
}

class Judged : public ::testing::Test {
 protected:
  void use(std::string_view rules) {
    ConfigResult read = parse_config(rules, "f");
    ASSERT_TRUE(read.problems.empty()) << read.problems.front();
    policy_ = make_policy(std::move(read.config));
  }
  [[nodiscard]] std::string_view judged(const Endpoint& address) const {
    return judge(*policy_, requester_, request_.command, request_.target, address).reason;
  }

  std::shared_ptr<const Policy> policy_ = make_policy({});
  Requester requester_{Client(at("192.0.2.9:4711")), 0, {}};
  Request request_{Command::connect, at("198.51.100.1:443")};
};

TEST_F(Judged, EachAddressHasItsReason) {
  use("[[rule]]\nname = \"not there\"\naction = \"deny\"\nto = [\"198.51.100.0/24\"]\n"
      "[[rule]]\naction = \"allow\"\nto = [\"203.0.113.0/24\", \"127.0.0.0/16\"]\n");
  JudgedFilter filter(*policy_, requester_, request_);
  const std::function<bool(const Endpoint&)> permit = std::ref(filter);
  EXPECT_EQ(filter.reason(), describe(Failure::denied)) << "nothing was refused yet";
  EXPECT_TRUE(permit(at("203.0.113.1:443")));
  EXPECT_EQ(filter.reason(), describe(Failure::denied));
  for (const char* const refused : {"198.51.100.1:443", "192.0.2.1:443", "127.1.0.1:443"}) {
    EXPECT_FALSE(permit(at(refused))) << refused;
    EXPECT_FALSE(filter.reason().empty());
    EXPECT_EQ(filter.reason(), judged(at(refused))) << refused;
  }
  const std::string_view last = filter.reason();
  EXPECT_TRUE(permit(at("127.0.0.1:443")));
  EXPECT_EQ(filter.reason(), last) << "what is allowed has no reason";
}

TEST_F(Judged, AllowsLeavesNoTrace) {
  JudgedFilter filter(*policy_, requester_, request_);
  EXPECT_FALSE(filter.allows(at("127.0.0.1:443")));
  EXPECT_TRUE(filter.allows(at("198.51.100.1:443")));
  EXPECT_EQ(filter.reason(), describe(Failure::denied));
}

TEST_F(Judged, ALookUpReachesNothing) {
  request_.command = Command::resolve;
  JudgedFilter filter(*policy_, requester_, request_);
  EXPECT_TRUE(filter(at("127.0.0.1:443"))) << "the protection has no part in it";
  use("[[rule]]\naction = \"deny\"\n");
  JudgedFilter closed(*policy_, requester_, request_);
  EXPECT_FALSE(closed(at("198.51.100.1:443"))) << "the rules do";
  EXPECT_EQ(closed.reason(), judged(at("198.51.100.1:443")));
}

TEST_F(Judged, WishesAreThoseOfTheRuleThatAllows) {
  use("[[rule]]\naction = \"allow\"\nto = [\"198.51.100.0/24\"]\nprefer = \"ipv4\"\n"
      "bind_address = [\"192.0.2.77\"]\n"
      "[[rule]]\naction = \"allow\"\n");
  const JudgedFilter filter(*policy_, requester_, request_);
  EXPECT_EQ(filter.preference(), FamilyPreference::ipv4);
  EXPECT_EQ(filter.source(at("198.51.100.1:443")), at("192.0.2.77:1").address);
  EXPECT_EQ(filter.source(at("203.0.113.1:443")), std::nullopt);
}

}  // namespace
}  // namespace socks64::gateway
