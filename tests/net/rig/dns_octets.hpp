// A DNS message, octet by octet: whatever a server might send.
#ifndef SOCKS64_TESTS_NET_RIG_DNS_OCTETS_HPP
#define SOCKS64_TESTS_NET_RIG_DNS_OCTETS_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace socks64::gateway::testing {

using Octets = std::vector<std::uint8_t>;

inline constexpr unsigned type_a = 1;
inline constexpr unsigned type_cname = 5;
inline constexpr unsigned type_soa = 6;
inline constexpr unsigned type_ptr = 12;
inline constexpr unsigned type_aaaa = 28;
/// A pointer to the name of the question.
inline const Octets asked_name{0xc0, 12};

/// Any labels between the dots, uncompressed.
inline Octets wire_name(std::string_view name) {
  Octets out;
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    out.push_back(static_cast<std::uint8_t>(label.size()));
    out.insert(out.end(), label.begin(), label.end());
    name.remove_prefix(std::min(label.size() + 1, name.size()));
  }
  out.push_back(0);
  return out;
}

class DnsOctets {
 public:
  explicit DnsOctets(unsigned flags = 0x8180) : octets(12) { set16(2, flags); }

  DnsOctets& question(std::string_view name, unsigned type, unsigned in = 1) {
    append(wire_name(name));
    put16(type);
    put16(in);
    count(4);
    return *this;
  }
  DnsOctets& answer(const Octets& owner, unsigned type, std::uint32_t ttl, const Octets& data,
                    unsigned in = 1) {
    record(owner, type, ttl, data, in);
    count(6);
    return *this;
  }
  DnsOctets& authority(const Octets& owner, unsigned type, std::uint32_t ttl, const Octets& data) {
    record(owner, type, ttl, data, 1);
    count(8);
    return *this;
  }
  void set16(std::size_t at, unsigned value) {
    octets[at] = static_cast<std::uint8_t>(value >> 8U);
    octets[at + 1] = static_cast<std::uint8_t>(value & 0xffU);
  }

  Octets octets;

 private:
  void append(const Octets& more) { octets.insert(octets.end(), more.begin(), more.end()); }
  void put16(unsigned value) {
    octets.resize(octets.size() + 2);
    set16(octets.size() - 2, value);
  }
  void count(std::size_t at) {
    set16(at, (static_cast<unsigned>(octets[at]) << 8U | octets[at + 1]) + 1);
  }
  void record(const Octets& owner, unsigned type, std::uint32_t ttl, const Octets& data,
              unsigned in) {
    append(owner);
    put16(type);
    put16(in);
    put16(ttl >> 16U);
    put16(ttl & 0xffffU);
    put16(static_cast<unsigned>(data.size()));
    append(data);
  }
};

}  // namespace socks64::gateway::testing

#endif
