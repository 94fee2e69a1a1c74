// What a DNS server sends to the gateway. The input is the message. What is taken of it is bounded
// and of the type that was asked for; and c-ares, whatever it sees of it, gives it back as it was.
#include <algorithm>
#include <string>
#include <vector>

#include "dns/cares_translation.hpp"
#include "dns/dns_message.hpp"
#include "fuzz.hpp"

using namespace socks64;
using namespace socks64::gateway;
using fuzz::require;

namespace {

void check(Bytes message, const Question& question) {
  const DnsReply reply = reply_in(message, question);
  require(reply.addresses.size() <= max_reply_addresses && reply.name.size() <= 253);
  require((reply.failure == Failure::none) == (!reply.addresses.empty() || !reply.name.empty()));
  require(reply.failure != Failure::none || reply.ttl.has_value());
  require(!reply.ttl || (reply.ttl->count() >= 0 && reply.ttl->count() <= 0x7fffffff));
  require(reply.name.empty() || question.type == RecordType::ptr);
  require(std::ranges::all_of(reply.addresses, [&question](const IpAddress& address) {
    return question.type == (address.is_v4() ? RecordType::a : RecordType::aaaa);
  }));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes message(data, std::min<std::size_t>(size, 65535));
  Reader reader(message);
  const auto opening = dns::read_opening(reader, message);
  const std::string name = opening ? opening->name.text() : "a.test";
  for (const RecordType type : {RecordType::a, RecordType::aaaa, RecordType::ptr}) {
    check(message, {name, type});
  }

  static CaresTranslation translation;
  const std::string asked = translation.borrow(name);
  std::vector<std::uint8_t> buffer(message.begin(), message.end());
  buffer.resize(65535);
  const std::size_t translated = translation.for_cares(buffer, message.size());
  require(translated == 0 || opening.has_value());
  if (translated != 0) {
    const Bytes seen = Bytes(buffer).first(translated);
    Reader rest(seen);
    const auto shown = dns::read_opening(rest, seen);
    require(shown && shown->header.id == opening->header.id && shown->type == opening->type);
    require(shown->name.is_host_name() || shown->name == WireName(asked));
    require(std::ranges::equal(translation.as_sent(seen), message));
  }
  static_cast<void>(translation.as_sent(message));
  std::array<std::uint8_t, CaresTranslation::max_query> out{};
  static_cast<void>(translation.for_server(message, out));
  translation.give_back(name);
  return 0;
}
