#include "names/host_entry.hpp"

#include <cstdint>
#include <cstring>
#include <sys/socket.h>

namespace socks64::shim {
namespace {

/// Hands out the caller's buffer, which need not be aligned, piece by piece.
class Room {
 public:
  Room(char* buffer, std::size_t size) noexcept : next_(buffer), left_(size) {}

  [[nodiscard]] char* take(std::size_t size, std::size_t alignment) noexcept {
    const std::size_t skip =
        (alignment - reinterpret_cast<std::uintptr_t>(next_) % alignment) % alignment;
    if (size > left_ || skip > left_ - size) {
      return nullptr;
    }
    char* const piece = next_ + skip;
    next_ = piece + size;
    left_ -= skip + size;
    return piece;
  }

 private:
  char* next_;
  std::size_t left_;
};

}  // namespace

bool write_host_entry(const HostAddresses& addresses, Family family, hostent& entry, char* buffer,
                      std::size_t size) noexcept {
  const std::size_t octets = family == Family::ipv4 ? 4 : 16;
  std::size_t count = 0;
  for (std::size_t i = 0; i < addresses.count; ++i) {
    count += addresses.list[i].family() == family ? 1U : 0U;
  }
  // The list of aliases (always empty) is the terminator of the list of addresses.
  Room room(buffer, size);
  const std::string_view name = addresses.canonical.view();
  char* const list = room.take((count + 1) * sizeof(char*), alignof(char*));
  char* const data = room.take(count * octets, 4);
  char* const text = room.take(name.size() + 1, 1);
  if (list == nullptr || data == nullptr || text == nullptr) {
    return false;
  }
  char** const pointers = reinterpret_cast<char**>(list);
  std::size_t used = 0;
  for (std::size_t i = 0; i < addresses.count; ++i) {
    if (addresses.list[i].family() == family) {
      pointers[used] = data + used * octets;
      std::memcpy(pointers[used], addresses.list[i].bytes().data(), octets);
      ++used;
    }
  }
  pointers[used] = nullptr;
  std::memcpy(text, name.data(), name.size());
  text[name.size()] = '\0';

  entry.h_name = text;
  entry.h_aliases = pointers + used;
  entry.h_addrtype = family == Family::ipv4 ? AF_INET : AF_INET6;
  entry.h_length = static_cast<int>(octets);
  entry.h_addr_list = pointers;
  return true;
}

}  // namespace socks64::shim
