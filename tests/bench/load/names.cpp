#include "names.hpp"

#include <array>
#include <cerrno>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "options.hpp"

namespace load {
namespace {

constexpr std::size_t header = 12;
constexpr int type_a = 1;
constexpr int type_aaaa = 28;

/// The name that begins at `at`, which is moved behind it, as text; empty if it is none.
std::string name_at(const std::string& query, std::size_t& at) {
  std::string name;
  while (at < query.size()) {
    const std::size_t length = static_cast<unsigned char>(query[at++]);
    if (length == 0) {
      return name;
    }
    if (length > 63 || at + length > query.size()) {
      return {};
    }
    name += query.substr(at, length) + '.';
    at += length;
  }
  return {};
}

bool ends_with(const std::string& name, const std::string& end) {
  return name.size() >= end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

std::string dns_answer(const std::string& query) {
  std::size_t at = header;
  const std::string name = query.size() < header ? std::string() : name_at(query, at);
  if (name.empty() || at + 4 > query.size() || ends_with(name, ".stuck.test.")) {
    return {};
  }
  const int type =
      static_cast<unsigned char>(query[at]) << 8 | static_cast<unsigned char>(query[at + 1]);
  at += 4;
  const bool v6 = ends_with(name, "v6.bench.test.");
  const bool has = type == (v6 ? type_aaaa : type_a);
  std::string answer = query.substr(0, 2);
  // QR, RD, RA; one question, our answers, nothing else.
  answer += std::string("\x81\x80\0\1\0", 5) + static_cast<char>(has ? 1 : 0) +
            std::string(4, '\0') + query.substr(header, at - header);
  if (has) {
    // The name of the question, its type, IN, five minutes.
    answer +=
        std::string("\xc0\x0c\0", 3) + static_cast<char>(type) + std::string("\0\1\0\0\1\x2c\0", 7);
    answer += v6 ? '\x10' + std::string(15, '\0') + '\1' : std::string("\4\x7f\0\0\1", 5);
  }
  return answer;
}

Names::Names(Loop& loop, const std::string& host) {
  const Address address = address_of(host, 53);
  fd_ =
      Descriptor(::socket(address.storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0) {
    fail_errno(host + " UDP port 53");
  }
  loop.add(fd_.get(), EPOLLIN, *this);
}

void Names::ready(std::uint32_t) {
  for (int i = 0; i < 64; ++i) {
    std::array<char, 1500> octets;
    sockaddr_storage peer{};
    socklen_t length = sizeof peer;
    const ssize_t count = ::recvfrom(fd_.get(), octets.data(), octets.size(), 0,
                                     reinterpret_cast<sockaddr*>(&peer), &length);
    if (count < 0) {
      return;  // nothing more, or an ICMP error that is the asker's affair
    }
    const std::string answer = dns_answer({octets.data(), static_cast<std::size_t>(count)});
    if (!answer.empty()) {
      ::sendto(fd_.get(), answer.data(), answer.size(), 0, reinterpret_cast<const sockaddr*>(&peer),
               length);
    }
  }
}

}  // namespace load
