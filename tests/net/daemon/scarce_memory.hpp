// Makes the next allocations of this thread fail where Asio asks for memory: std::aligned_alloc(),
// which the linker sends here (--wrap).
#ifndef SOCKS64_TESTS_NET_GATEWAY_SCARCE_MEMORY_HPP
#define SOCKS64_TESTS_NET_GATEWAY_SCARCE_MEMORY_HPP

namespace socks64::gateway::test {

class ScarceMemory {
 public:
  ScarceMemory() noexcept;
  ~ScarceMemory();
  ScarceMemory(const ScarceMemory&) = delete;
  ScarceMemory& operator=(const ScarceMemory&) = delete;
};

}  // namespace socks64::gateway::test

#endif
