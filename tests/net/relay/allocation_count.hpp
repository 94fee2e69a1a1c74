// A test program that links allocation_count.cpp counts what each of its threads allocates.
#ifndef SOCKS64_TESTS_NET_ALLOCATION_COUNT_HPP
#define SOCKS64_TESTS_NET_ALLOCATION_COUNT_HPP

#include <cstdint>

namespace socks64 {

[[nodiscard]] std::uint64_t allocations_of_this_thread() noexcept;

}  // namespace socks64

#endif
