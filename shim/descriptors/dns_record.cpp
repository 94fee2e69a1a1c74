#include "descriptors/dns_record.hpp"

#include <algorithm>
#include <cstring>

#include "host/mapped_pool.hpp"

namespace socks64::shim {

constinit std::atomic<int> dns_link_count{0};

namespace {

/// Guarded by the lock of the table of descriptors.
constinit MappedPool<DnsLink, 1U << 12U> pool;

}  // namespace

DialledAddress DialledAddress::of(const void* address, socklen_t length) noexcept {
  DialledAddress copy;
  copy.size = static_cast<std::uint8_t>(std::min<std::size_t>(length, copy.octets.size()));
  std::memcpy(copy.octets.data(), address, copy.size);
  return copy;
}

socklen_t DialledAddress::give(void* address, socklen_t room) const noexcept {
  std::memcpy(address, octets.data(), std::min<std::size_t>(room, size));
  return size;
}

DnsLink* allocate_dns_link(bool stream) noexcept {
  DnsLink* link = pool.allocate();
  if (link == nullptr) {
    return nullptr;
  }
  link->connected.store(false, std::memory_order_relaxed);
  link->bare.store(false, std::memory_order_relaxed);
  link->own_port.store(0, std::memory_order_relaxed);
  link->stream = stream;
  link->established = false;
  link->references = 0;
  link->resolver = {};
  link->asked = {};
  link->asked_count = 0;
  link->query_size = 0;
  link->answer_size = 0;
  link->answer_sent = 0;
  dns_link_count.fetch_add(1, std::memory_order_relaxed);
  return link;
}

void share(DnsLink& link) noexcept {
  ++link.references;
}

void drop(DnsLink& link) noexcept {
  if (--link.references == 0) {
    dns_link_count.fetch_sub(1, std::memory_order_relaxed);
    pool.release(&link);
  }
}

}  // namespace socks64::shim
