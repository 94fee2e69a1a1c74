// What is remembered of a socket in whose place another file is, and what it says of its options.
// See swapped_options.cpp.
#ifndef SOCKS64_SHIM_SWAPPED_OPTIONS_HPP
#define SOCKS64_SHIM_SWAPPED_OPTIONS_HPP

#include <array>
#include <cstdint>
#include <sys/socket.h>

namespace socks64::shim {

/// What the program believes of a socket whose open file is another by now.
struct SwappedSocket {
  /// An option that is not what a new socket has.
  struct Wish {
    int level = 0;
    int name = 0;
    int value = 0;
  };

  int domain = 0;  ///< as the program made it
  int protocol = 0;
  alignas(4) int current = 0;  ///< of the file that is there now: current_domain()
  bool bound = false;
  sockaddr_storage local{};  ///< where it was bound
  socklen_t local_length = 0;
  std::uint32_t wish_count = 0;
  std::array<Wish, 40> wishes{};
};

/// Other threads may be told while one swaps.
[[nodiscard]] int current_domain(const SwappedSocket& record) noexcept;

/// A socket for as long as it takes: non-blocking, close-on-exec, and no hook hears of it.
class Temporary {
 public:
  Temporary(int domain, int protocol) noexcept;
  ~Temporary();
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  /// -1 when there is none; errno said why.
  [[nodiscard]] int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

/// Notes in what the program's socket differs from a plain one of its family.
void note_wishes(SwappedSocket& record, int fd, int plain) noexcept;
void remember(SwappedSocket& record, int level, int name, int value) noexcept;
/// Makes a new socket of `domain` what the program wishes, as far as the family can.
void grant_wishes(int fd, int domain, const SwappedSocket& record) noexcept;

/// getsockopt(2) and setsockopt(2) on a swapped socket.
int swapped_option(int fd, const SwappedSocket& record, int level, int name, void* value,
                   socklen_t* length) noexcept;
int set_swapped_option(int fd, SwappedSocket& record, int level, int name, const void* value,
                       socklen_t length) noexcept;

}  // namespace socks64::shim

#endif
