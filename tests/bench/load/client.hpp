// One connection of the load to the destination, through a SOCKS 5 server or directly.
#ifndef SOCKS64_BENCH_CLIENT_HPP
#define SOCKS64_BENCH_CLIENT_HPP

#include <string>
#include <vector>

#include "loop.hpp"
#include "options.hpp"

namespace load {

/// Where the connections of a run go, one target after the other.
class Targets {
 public:
  explicit Targets(const Options& options);
  /// What the next connection asks for.
  std::string next();

 private:
  std::vector<std::string> targets_;
  std::uint64_t count_ = 0;
  std::uint64_t first_;
};

class Client : public Handler {
 public:
  enum class Command : std::uint8_t { connect = 1, udp_associate = 3 };

  Client(Loop& loop, const Options& options, Targets& targets, Service service)
      : loop_(loop), options_(options), targets_(targets), service_(service) {}

  /// Begins; opened() or Failed follows. Only without a connection.
  void open();
  bool is_open() const { return phase_ == Phase::open; }
  void ready(std::uint32_t events) final;

 protected:
  /// The destination can be talked to. From now on io() has the events; EPOLLIN is awaited.
  virtual void opened() = 0;
  virtual void io(std::uint32_t events) = 0;
  /// The server said that it cannot.
  virtual void refused(int reply);
  /// The connection ended within the handshake.
  virtual void broken(const std::string& what);
  /// No request is answered, but the server has this one now.
  virtual void asked() {}

  void want(std::uint32_t events) { loop_.change(fd_.get(), events, *this); }
  void close();
  /// Throws Failed: this connection, what went wrong.
  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void fail_with_errno(const std::string& what) const;
  int fd() const { return fd_.get(); }
  const Options& options() const { return options_; }
  Loop& loop() { return loop_; }
  /// BND.ADDR and BND.PORT of the reply, with the server's own address where it names none.
  Address bound() const;
  const std::string& target() const { return target_; }
  /// ATYP, address and port of the destination, as in a request.
  std::string destination_octets() const;

  Command command_ = Command::connect;
  Clock::time_point began_;

 private:
  enum class Phase { closed, connecting, method, login, reply, open };

  void connected();
  void send_all(const std::string& octets);
  void send_request();
  void take_answer();
  std::string greeting() const;
  std::string request();
  std::size_t reply_length() const;

  Loop& loop_;
  const Options& options_;
  Targets& targets_;
  Service service_;
  Descriptor fd_;
  Phase phase_ = Phase::closed;
  std::string target_;
  std::string answer_;
};

}  // namespace load

#endif
