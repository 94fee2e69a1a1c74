// The destination of datagrams: sends each back where it came from, many a system call. What a
// server sent in one run (UDP_SEGMENT) comes as one and goes back as one, as with QUIC's servers;
// what came alone goes alone.
#ifndef SOCKS64_BENCH_UDP_ECHO_HPP
#define SOCKS64_BENCH_UDP_ECHO_HPP

#include <cstdint>
#include <memory>
#include <string>

#include "loop.hpp"

namespace load {

class UdpEcho final : public Handler {
 public:
  UdpEcho(Loop& loop, const std::string& host, std::uint16_t port);
  ~UdpEcho() override;
  void ready(std::uint32_t events) override;

 private:
  struct Batch;
  Descriptor fd_;
  std::unique_ptr<Batch> batch_;
};

}  // namespace load

#endif
