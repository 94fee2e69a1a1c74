// The program that decides, for each segment of octets that arrives at a socket of the map, whether
// it goes straight to the other socket of its relay or to the worker. Built as instructions, so
// that neither clang nor libbpf is needed.
#ifndef SOCKS64_GATEWAYD_SOCKMAP_PROGRAM_HPP
#define SOCKS64_GATEWAYD_SOCKMAP_PROGRAM_HPP

#include <cstddef>
#include <cstdint>
#include <linux/bpf.h>
#include <vector>

namespace socks64::gateway {

/// Where the program finds things: descriptors of maps, and offsets in an entry.
struct SockmapLayout {
  int sockets;  ///< sockmap: slot (u32) -> socket; the two of a relay differ in the last bit
  int slots;    ///< hash: cookie of a socket (u64) -> slot (u32)
  int entries;  ///< array: slot (u32) -> entry
  std::int16_t word;
  std::int16_t redirected;
  std::int16_t last;
};

/// The word of an entry: with this bit a lease, messages left in bits 32 to 62 and octets left
/// below; without it the octets that were passed to the worker since the last lease.
constexpr std::uint64_t leased_bit = std::uint64_t{1} << 63U;

[[nodiscard]] constexpr std::uint64_t lease_word(std::uint32_t messages,
                                                 std::uint32_t octets) noexcept {
  return leased_bit | std::uint64_t{messages} << 32U | octets;
}

[[nodiscard]] std::vector<bpf_insn> sockmap_program(const SockmapLayout& layout);

}  // namespace socks64::gateway

#endif
