#include "rig/dns_server.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <netinet/in.h>
#include <poll.h>
#include <stdexcept>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "socks64/sockaddr.hpp"
#include "socks64/wire.hpp"

namespace socks64::gateway::testing {
namespace {

using Clock = std::chrono::steady_clock;
using Octets = std::vector<std::uint8_t>;

constexpr std::uint16_t type_a = 1;
constexpr std::uint16_t type_cname = 5;
constexpr std::uint16_t type_soa = 6;
constexpr std::uint16_t type_ptr = 12;
constexpr std::uint16_t type_aaaa = 28;

void put16(Octets& out, unsigned value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8U));
  out.push_back(static_cast<std::uint8_t>(value & 0xffU));
}

void put32(Octets& out, std::uint32_t value) {
  put16(out, value >> 16U);
  put16(out, value & 0xffffU);
}

Octets encoded(std::string_view name) {
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

void put_record(Octets& out, const Octets& owner, std::uint16_t type, std::uint32_t ttl,
                const Octets& data) {
  out.insert(out.end(), owner.begin(), owner.end());
  put16(out, type);
  put16(out, 1);
  put32(out, ttl);
  put16(out, static_cast<unsigned>(data.size()));
  out.insert(out.end(), data.begin(), data.end());
}

/// What an attacker off the path could send: an answer with another ID, one to another question,
/// one to the same name but another type, and no answer at all. All say 198.51.100.66.
std::vector<Octets> forgeries(const Octets& right, const Octets& question, std::uint16_t type) {
  const Octets evil{198, 51, 100, 66};
  const auto forged = [&](unsigned id, const Octets& asked) {
    Octets message;
    put16(message, id);
    for (const unsigned word : {0x8180U, 1U, 1U, 0U, 0U}) {
      put16(message, word);
    }
    message.insert(message.end(), asked.begin(), asked.end());
    put_record(message, {0xc0, 12}, type_a, 3600, evil);
    return message;
  };
  const unsigned id = static_cast<unsigned>(right[0]) << 8U | right[1];
  Octets other_name = question;
  other_name[1] ^= 1U;
  Octets other_type = question;
  other_type[other_type.size() - 3] =
      static_cast<std::uint8_t>(type == type_a ? type_aaaa : type_a);
  return {forged(id ^ 1U, question), forged(id, other_name), forged(id, other_type), {0xff}, {}};
}

sockaddr* as_sockaddr(sockaddr_storage& storage) {
  return reinterpret_cast<sockaddr*>(&storage);
}

}  // namespace

DnsServer::DnsServer() {
  // The kernel picks the UDP port; the same number is then free for TCP in all but rare cases.
  for (int attempt = 0; attempt < 20; ++attempt) {
    udp_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    tcp_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_storage storage{};
    socklen_t length = to_sockaddr({IpAddress::v4(0x7f000001U), 0}, storage);
    bool good = ::bind(udp_, as_sockaddr(storage), length) == 0 &&
                ::getsockname(udp_, as_sockaddr(storage), &length) == 0 &&
                ::bind(tcp_, as_sockaddr(storage), length) == 0 && ::listen(tcp_, 16) == 0;
    if (good) {
      endpoint_ = *from_sockaddr(as_sockaddr(storage), length);
      stop_ = ::eventfd(0, EFD_CLOEXEC);
      thread_ = std::thread([this] { run(); });
      return;
    }
    ::close(udp_);
    ::close(tcp_);
  }
  throw std::runtime_error("no port is free for UDP and TCP");
}

DnsServer::~DnsServer() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(stop_, &one, sizeof one);
  thread_.join();
  ::close(udp_);
  ::close(tcp_);
  ::close(stop_);
}

void DnsServer::script(const std::string& name, Family family, Script script) {
  const std::lock_guard lock(mutex_);
  counts_.try_emplace({name, family}, 0);  // not while somebody looks at the heap
  scripts_[{name, family}] = std::move(script);
}

void DnsServer::drop_below(const std::string& suffix) {
  const std::lock_guard lock(mutex_);
  dropped_suffix_ = suffix;
}

int DnsServer::queries(const std::string& name, Family family) const {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find({name, family});
  return found == counts_.end() ? 0 : found->second;
}

int DnsServer::queries() const {
  const std::lock_guard lock(mutex_);
  int sum = 0;
  for (const auto& [key, count] : counts_) {
    sum += count;
  }
  return sum;
}

int DnsServer::tcp_queries() const {
  const std::lock_guard lock(mutex_);
  return tcp_count_;
}

std::set<Port> DnsServer::ports() const {
  const std::lock_guard lock(mutex_);
  return ports_;
}

std::optional<DnsServer::Answer> DnsServer::answer(const Octets& query, bool over_tcp) {
  Reader reader(query);
  const unsigned id = reader.u16();
  static_cast<void>(reader.take(10));
  std::string name;
  for (std::uint8_t size = reader.u8(); size != 0 && reader.ok(); size = reader.u8()) {
    const Bytes label = reader.take(size);
    if (!name.empty()) {
      name.push_back('.');
    }
    name.append(label.begin(), label.end());
  }
  const std::uint16_t type = reader.u16();
  static_cast<void>(reader.u16());
  if (!reader.ok()) {
    return std::nullopt;
  }
  const Octets question(query.begin() + 12,
                        query.begin() + static_cast<std::ptrdiff_t>(reader.consumed()));

  const std::lock_guard lock(mutex_);
  const Key key{name, type == type_aaaa ? Family::ipv6 : Family::ipv4};
  ++counts_[key];
  if (over_tcp) {
    ++tcp_count_;
  }
  if (!dropped_suffix_.empty() && name.ends_with(dropped_suffix_)) {
    return std::nullopt;
  }
  const auto found = scripts_.find(key);
  Script script;
  if (found == scripts_.end()) {
    script.rcode = nxdomain;
  } else {
    script = found->second;
  }
  if (script.drop) {
    return std::nullopt;
  }
  const bool truncated = script.truncate && !over_tcp;

  Octets message;
  put16(message, id);
  put16(message, 0x8180U | (truncated ? 0x0200U : 0U) | script.rcode);
  put16(message, 1);
  const std::size_t records = truncated ? 0
                                        : script.cnames.size() + script.addresses.size() +
                                              script.unasked.size() +
                                              (type == type_ptr ? script.names.size() : 0);
  put16(message, static_cast<unsigned>(records));
  put16(message, script.soa ? 1 : 0);
  put16(message, 0);
  message.insert(message.end(), question.begin(), question.end());
  if (script.garbage) {
    message[7] = 9;  // nine answers, none of which is there
    message.insert(message.end(), {0xff, 0xfe, 0xfd});
    return Answer{script.delay, message};
  }
  if (!truncated) {
    Octets owner{0xc0, 12};
    for (const std::string& cname : script.cnames) {
      put_record(message, owner, type_cname, script.ttl, encoded(cname));
      owner = encoded(cname);
    }
    for (const std::string& text : script.addresses) {
      const IpAddress address = *IpAddress::parse(text);
      put_record(message, owner, address.is_v4() ? type_a : type_aaaa, script.ttl,
                 Octets(address.bytes().begin(), address.bytes().end()));
    }
    for (const auto& [other, text] : script.unasked) {
      const IpAddress address = *IpAddress::parse(text);
      put_record(message, encoded(other), address.is_v4() ? type_a : type_aaaa, script.ttl,
                 Octets(address.bytes().begin(), address.bytes().end()));
    }
    if (type == type_ptr) {
      for (const std::string& text : script.names) {
        put_record(message, owner, type_ptr, script.ttl, encoded(text));
      }
    }
  }
  if (script.soa) {
    Octets data = encoded("ns.test");
    const Octets mailbox = encoded("admin.test");
    data.insert(data.end(), mailbox.begin(), mailbox.end());
    for (const std::uint32_t field : {1U, 2U, 3U, 4U, script.soa->second}) {
      put32(data, field);
    }
    put_record(message, encoded("test"), type_soa, script.soa->first, data);
  }
  Answer given{script.delay, message};
  if (script.forged) {
    // More than a reader may be willing to drop at once.
    for (int i = 0; i < 30; ++i) {
      std::ranges::move(forgeries(message, question, type), std::back_inserter(given.before));
    }
  }
  return given;
}

void DnsServer::serve_tcp() {
  const int peer = ::accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC);
  if (peer < 0) {
    return;
  }
  timeval patience{2, 0};
  ::setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::array<std::uint8_t, 2> size{};
  if (::recv(peer, size.data(), size.size(), MSG_WAITALL) == 2) {
    Octets query(static_cast<std::size_t>(size[0]) << 8U | size[1]);
    if (::recv(peer, query.data(), query.size(), MSG_WAITALL) ==
        static_cast<ssize_t>(query.size())) {
      if (const std::optional<Answer> given = answer(query, true)) {
        Octets framed;
        put16(framed, static_cast<unsigned>(given->message.size()));
        framed.insert(framed.end(), given->message.begin(), given->message.end());
        [[maybe_unused]] const ssize_t sent =
            ::send(peer, framed.data(), framed.size(), MSG_NOSIGNAL);
      }
    }
  }
  ::close(peer);
}

void DnsServer::run() {
  struct Delayed {
    Clock::time_point due;
    Octets message;
    sockaddr_storage to;
    socklen_t length;
  };
  std::vector<Delayed> delayed;
  for (;;) {
    int timeout = -1;
    const Clock::time_point now = Clock::now();
    std::erase_if(delayed, [&](Delayed& reply) {
      if (reply.due <= now) {
        ::sendto(udp_, reply.message.data(), reply.message.size(), 0, as_sockaddr(reply.to),
                 reply.length);
        return true;
      }
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(reply.due - now).count();
      timeout = timeout < 0 ? static_cast<int>(left) : std::min(timeout, static_cast<int>(left));
      return false;
    });
    std::array<pollfd, 3> ready{pollfd{udp_, POLLIN, 0}, {tcp_, POLLIN, 0}, {stop_, POLLIN, 0}};
    if (::poll(ready.data(), ready.size(), timeout) < 0) {
      continue;
    }
    if (ready[2].revents != 0) {
      return;
    }
    if (ready[1].revents != 0) {
      serve_tcp();
    }
    if (ready[0].revents == 0) {
      continue;
    }
    Octets query(1500);
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    const ssize_t size =
        ::recvfrom(udp_, query.data(), query.size(), 0, as_sockaddr(from), &length);
    if (size <= 0) {
      continue;
    }
    {
      const std::lock_guard lock(mutex_);
      if (const Result<Endpoint> peer = from_sockaddr(as_sockaddr(from), length)) {
        ports_.insert(peer->port);
      }
    }
    query.resize(static_cast<std::size_t>(size));
    if (const std::optional<Answer> given = answer(query, false)) {
      for (const Octets& message : given->before) {
        ::sendto(udp_, message.data(), message.size(), 0, as_sockaddr(from), length);
      }
      delayed.push_back({Clock::now() + given->delay, given->message, from, length});
    }
  }
}

}  // namespace socks64::gateway::testing
