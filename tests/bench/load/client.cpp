#include "client.hpp"

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace load {
namespace {

std::string port_octets(int port) {
  return {static_cast<char>(port >> 8), static_cast<char>(port & 255)};
}

/// ATYP and DST.ADDR, RFC 1928 section 4.
std::string address_octets(const std::string& target) {
  std::array<char, 16> octets{};
  if (::inet_pton(AF_INET, target.c_str(), octets.data()) == 1) {
    return '\1' + std::string(octets.data(), 4);
  }
  if (::inet_pton(AF_INET6, target.c_str(), octets.data()) == 1) {
    return '\4' + std::string(octets.data(), 16);
  }
  return '\3' + std::string(1, static_cast<char>(target.size())) + target;
}

}  // namespace

Targets::Targets(const Options& options)
    : targets_(options.targets),
      first_(
          static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count())) {
}

std::string Targets::next() {
  std::string target = targets_[count_ % targets_.size()];
  if (const auto percent = target.find('%'); percent != std::string::npos) {
    target.replace(percent, 1, std::to_string(first_ + count_));
  }
  ++count_;
  return target;
}

void Client::fail(const std::string& what) const {
  std::string whom = options_.direct ? "direct connection" : "connection through the proxy";
  throw Failed(whom + " to " + target_ + ": " + what);
}

void Client::fail_with_errno(const std::string& what) const {
  fail(what + ": " + std::strerror(errno));
}

void Client::broken(const std::string& what) {
  fail(what);
}

void Client::refused(int reply) {
  fail("the server refused: reply " + std::to_string(reply));
}

void Client::open() {
  target_ = targets_.next();
  answer_.clear();
  began_ = Clock::now();
  const auto port = static_cast<std::uint16_t>(
      (options_.direct_port != 0 ? options_.direct_port : options_.port) +
      static_cast<int>(service_));
  const Address to = options_.direct ? address_of(target_, port)
                                     : address_of(options_.proxy_host, options_.proxy_port);
  fd_ = Descriptor(::socket(to.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd_.get() < 0) {
    fail_with_errno("socket");
  }
  const int on = 1;
  ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&to.storage), to.length) != 0 &&
      errno != EINPROGRESS) {
    fail_with_errno("connect");
  }
  phase_ = Phase::connecting;
  loop_.add(fd_.get(), EPOLLOUT, *this);
}

void Client::close() {
  fd_.reset();
  phase_ = Phase::closed;
}

void Client::ready(std::uint32_t events) {
  switch (phase_) {
    case Phase::open:
      return io(events);
    case Phase::connecting:
      return connected();
    case Phase::closed:
      return;
    default:
      return take_answer();
  }
}

void Client::connected() {
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) {
    fail(std::string("connect: ") + std::strerror(error));
  }
  want(EPOLLIN);
  if (options_.direct) {
    phase_ = Phase::open;
    return opened();
  }
  phase_ = Phase::method;
  send_all(options_.pipeline && options_.user.empty() ? greeting() + request() : greeting());
}

std::string Client::greeting() const {
  return {'\5', '\1', static_cast<char>(options_.user.empty() ? 0 : 2)};
}

std::string Client::request() {
  std::string request{'\5', static_cast<char>(command_), '\0'};
  if (command_ == Command::udp_associate) {
    return request + address_octets("0.0.0.0") + port_octets(0);
  }
  return request + destination_octets();
}

std::string Client::destination_octets() const {
  return address_octets(target_) + port_octets(options_.port + static_cast<int>(service_));
}

void Client::send_all(const std::string& octets) {
  // A handshake's octets fit into the buffer of a new socket.
  const ssize_t count = ::send(fd_.get(), octets.data(), octets.size(), MSG_NOSIGNAL);
  if (count < 0) {
    fail_with_errno("handshake");
  }
  if (static_cast<std::size_t>(count) != octets.size()) {
    fail("handshake: no room for it");
  }
}

void Client::send_request() {
  phase_ = Phase::reply;
  if (!options_.pipeline || !options_.user.empty()) {
    send_all(request());
  }
  asked();
}

std::size_t Client::reply_length() const {
  switch (answer_[3]) {
    case 1:
      return 10;
    case 4:
      return 22;
    default:
      return 7 + static_cast<std::size_t>(static_cast<unsigned char>(answer_[4]));
  }
}

void Client::take_answer() {
  // No more than the answer that is due, which the destination's octets may follow.
  // A reply has 10 at least, unless it names a host of one or two letters.
  std::size_t due = phase_ == Phase::reply ? 10 : 2;
  if (phase_ == Phase::reply && answer_.size() >= due) {
    due = reply_length();
  }
  std::array<char, 300> buffer;
  const ssize_t count = ::recv(fd_.get(), buffer.data(), due - answer_.size(), 0);
  if (count < 0 && errno == EAGAIN) {
    return;
  }
  if (count < 0) {
    return broken(std::string("handshake: ") + std::strerror(errno));
  }
  if (count == 0) {
    return broken("handshake: the server closed the connection");
  }
  answer_.append(buffer.data(), static_cast<std::size_t>(count));
  if (answer_.size() < due) {
    return;
  }
  if (phase_ == Phase::reply) {
    if (answer_[0] != 5) {
      fail("handshake: not a SOCKS 5 reply");
    }
    if (answer_.size() < reply_length()) {
      return;
    }
    const int reply = static_cast<unsigned char>(answer_[1]);
    if (reply != 0) {
      return refused(reply);
    }
    phase_ = Phase::open;
    return opened();
  }
  if (phase_ == Phase::method) {
    if (answer_[0] != 5 || answer_[1] != (options_.user.empty() ? 0 : 2)) {
      fail("handshake: the server takes another method");
    }
    answer_.clear();
    if (options_.user.empty()) {
      return send_request();
    }
    phase_ = Phase::login;
    return send_all('\1' + std::string(1, static_cast<char>(options_.user.size())) + options_.user +
                    std::string(1, static_cast<char>(options_.password.size())) +
                    options_.password);
  }
  if (answer_[1] != 0) {
    fail("handshake: the server does not accept the password");
  }
  answer_.clear();
  send_request();
}

Address Client::bound() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool v4 = answer_[3] == 1;
  if (!v4 && answer_[3] != 4) {
    fail("the reply has no address");
  }
  ::inet_ntop(v4 ? AF_INET : AF_INET6, answer_.data() + 4, text.data(), text.size());
  std::string host = text.data();
  if (host == "0.0.0.0" || host == "::") {
    host = options_.proxy_host;
  }
  const auto* port = reinterpret_cast<const unsigned char*>(answer_.data()) + answer_.size() - 2;
  return address_of(host, static_cast<std::uint16_t>(port[0] << 8 | port[1]));
}

}  // namespace load
