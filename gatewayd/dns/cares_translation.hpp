// What c-ares sees of the datagrams between it and the servers, since it looks into them: 1.34
// gives a connection up, and with it the tries of all questions that wait there, when a datagram of
// any origin is malformed; it drops answers with records that it does not like; and it does not ask
// for names with octets that no host has. So
//
//  - what is no answer to a question as we ask them does not reach it. Whether the ID and the
//    question are those of a query is for c-ares to say;
//  - an answer reaches it as one record of a type for private use, whose data is the whole message.
//    A mark that no server knows tells it from a record that one has sent;
//  - for a name that c-ares would not ask for there is a stand-in, "*7", in what it has to say and
//    in what it hears.
//
// This is about datagrams alone. What arrives over TCP nobody forges who is not on the path, and
// c-ares reads it as it is. An answer to a stand-in that is truncated, and would have to come that
// way, arrives as it is, and reply_in() makes a failure of it.
#ifndef SOCKS64_GATEWAYD_CARES_TRANSLATION_HPP
#define SOCKS64_GATEWAYD_CARES_TRANSLATION_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "socks64/wire.hpp"

#include "dns/dns_message.hpp"
#include "dns/wire_name.hpp"

namespace socks64::gateway {

class CaresTranslation {
 public:
  /// That of the longest name: its header, the name, type and class.
  static constexpr std::size_t max_query = dns::header_size + WireName::max_size + 1 + 4;

  CaresTranslation();

  /// What c-ares is to ask for in the place of `name`, a canonical one, until it is given back.
  [[nodiscard]] std::string borrow(const std::string& name);
  void give_back(const std::string& name) noexcept;

  /// The query with the name that is meant: it itself, or another one in `out`. Nothing: it has a
  /// stand-in that was given back.
  [[nodiscard]] std::optional<Bytes> for_server(
      Bytes query, std::array<std::uint8_t, max_query>& out) const noexcept;
  /// Translates the datagram in the first `size` octets of `buffer`. Returns its size; 0: to be
  /// dropped, as is what has no room.
  [[nodiscard]] std::size_t for_cares(MutableBytes buffer, std::size_t size) const noexcept;
  /// The message as the server sent it, of what c-ares made of it.
  [[nodiscard]] Bytes as_sent(Bytes message) const noexcept;

 private:
  struct StandIn {
    WireName name;
    std::string text;
    std::size_t users = 0;
  };

  std::array<std::uint8_t, 8> mark_{};
  std::vector<StandIn> stand_ins_;  ///< few: names that no host can have are rarely asked for
  std::uint64_t last_ = 0;
};

}  // namespace socks64::gateway

#endif
