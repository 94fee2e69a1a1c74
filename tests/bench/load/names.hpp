// A DNS server for the names of a run: as much of one as the servers under test ask for.
#ifndef SOCKS64_BENCH_NAMES_HPP
#define SOCKS64_BENCH_NAMES_HPP

#include <string>

#include "loop.hpp"

namespace load {

/// On UDP port 53. Whatever is asked for has the address 127.0.0.1; below "v6.bench.test" ::1
/// instead. Names below "stuck.test" are never answered.
class Names final : public Handler {
 public:
  Names(Loop& loop, const std::string& host);
  void ready(std::uint32_t events) override;

 private:
  Descriptor fd_;
};

/// The answer to a query (RFC 1035 section 4); empty: none. Pure.
std::string dns_answer(const std::string& query);

}  // namespace load

#endif
