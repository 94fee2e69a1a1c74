#include "tables/direct_addresses.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <sys/mman.h>

#include "host/host_guard.hpp"

namespace socks64::shim {

/// Zeroed: empty. A slot is taken once and keeps its address.
struct DirectAddresses::Slot {
  enum : std::uint8_t { empty, filling, filled };
  std::atomic<std::uint8_t> state;
  std::atomic<std::uint16_t> rule;
  std::uint8_t address[16];  ///< IPv4 as ::ffff:a.b.c.d
};

namespace {

constexpr std::size_t longest_search = 64;

std::uint32_t hash(const IpAddress& mapped) noexcept {
  std::uint32_t value = 2166136261U;
  for (const std::uint8_t octet : mapped.bytes()) {
    value = (value ^ octet) * 16777619U;
  }
  return value ^ value >> 15U;
}

}  // namespace

void DirectAddresses::configure() noexcept {
  const ErrnoGuard guard;
  void* const memory = mmap(nullptr, capacity * sizeof(Slot), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  slots_ = memory == MAP_FAILED ? nullptr : static_cast<Slot*>(memory);
}

void DirectAddresses::add(const IpAddress& address, std::uint16_t rule) noexcept {
  if (slots_ == nullptr) {
    return;
  }
  const IpAddress mapped = address.mapped();
  const std::uint32_t start = hash(mapped);
  for (std::size_t i = 0; i < longest_search; ++i) {
    Slot& slot = slots_[(start + i) % capacity];
    std::uint8_t expected = Slot::empty;
    if (slot.state.compare_exchange_strong(expected, Slot::filling, std::memory_order_acq_rel)) {
      std::memcpy(slot.address, mapped.bytes().data(), sizeof(slot.address));
      slot.rule.store(rule, std::memory_order_relaxed);
      slot.state.store(Slot::filled, std::memory_order_release);
      return;
    }
    if (expected == Slot::filled &&
        std::memcmp(slot.address, mapped.bytes().data(), sizeof(slot.address)) == 0) {
      std::uint16_t present = slot.rule.load(std::memory_order_relaxed);
      while (rule < present &&
             !slot.rule.compare_exchange_weak(present, rule, std::memory_order_relaxed)) {
      }
      return;
    }
  }
}

std::optional<std::uint16_t> DirectAddresses::rule_of(const IpAddress& address) const noexcept {
  if (slots_ == nullptr) {
    return std::nullopt;
  }
  const IpAddress mapped = address.mapped();
  const std::uint32_t start = hash(mapped);
  for (std::size_t i = 0; i < longest_search; ++i) {
    const Slot& slot = slots_[(start + i) % capacity];
    const std::uint8_t state = slot.state.load(std::memory_order_acquire);
    if (state == Slot::empty) {
      break;
    }
    if (state == Slot::filled &&
        std::memcmp(slot.address, mapped.bytes().data(), sizeof(slot.address)) == 0) {
      return slot.rule.load(std::memory_order_relaxed);
    }
  }
  return std::nullopt;
}

DirectAddresses& direct_addresses() noexcept {
  static constinit DirectAddresses addresses;
  return addresses;
}

}  // namespace socks64::shim
