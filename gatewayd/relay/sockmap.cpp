#include "relay/sockmap.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <optional>
#include <string_view>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <utility>

#include "relay/sockmap_program.hpp"

namespace socks64::gateway {
namespace {

/// Each way. Small enough for a send buffer of 64 KiB with nothing much in it, large enough that
/// the worker's part in it does not show; docs/decisions/0008-kernel-relay.md.
constexpr std::uint32_t lease_messages = 256;
constexpr std::uint32_t lease_octets = 16'384;
constexpr int most_unsent = 4'096;
constexpr int least_buffer = 65'536;

/// Sockets of one worker; a relay that finds none free goes on as it is.
constexpr std::uint32_t most_sockets = 16'384;

/// Kernels up to 6.15 send octets twice when a send buffer fills up in the middle of a redirected
/// segment, and this is what the soak has run on.
constexpr int least_major = 6;
constexpr int least_minor = 18;

long bpf(bpf_cmd command, bpf_attr& attributes) noexcept {
  return ::syscall(__NR_bpf, command, &attributes, sizeof attributes);
}

template <class T>
std::uint64_t address(T* pointer) noexcept {
  return reinterpret_cast<std::uintptr_t>(pointer);
}

Descriptor create_map(bpf_map_type type, std::uint32_t key, std::uint32_t value,
                      std::uint32_t flags) noexcept {
  bpf_attr attributes{};
  attributes.map_type = type;
  attributes.key_size = key;
  attributes.value_size = value;
  attributes.max_entries = most_sockets;
  attributes.map_flags = flags;
  return Descriptor(static_cast<int>(bpf(BPF_MAP_CREATE, attributes)));
}

bool update(const Descriptor& map, const void* key, const void* value) noexcept {
  bpf_attr attributes{};
  attributes.map_fd = static_cast<std::uint32_t>(map.get());
  attributes.key = address(key);
  attributes.value = address(value);
  return bpf(BPF_MAP_UPDATE_ELEM, attributes) == 0;
}

void remove(const Descriptor& map, const void* key) noexcept {
  bpf_attr attributes{};
  attributes.map_fd = static_cast<std::uint32_t>(map.get());
  attributes.key = address(key);
  bpf(BPF_MAP_DELETE_ELEM, attributes);
}

Descriptor load_program(const std::vector<bpf_insn>& code) noexcept {
  constexpr char license[] = "GPL";  // what sk_redirect_map asks for; it is the kernel's own word
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_SK_SKB;
  attributes.expected_attach_type = BPF_SK_SKB_VERDICT;
  attributes.insns = address(code.data());
  attributes.insn_cnt = static_cast<std::uint32_t>(code.size());
  attributes.license = address(license);
  return Descriptor(static_cast<int>(bpf(BPF_PROG_LOAD, attributes)));
}

bool attach(const Descriptor& map, const Descriptor& program) noexcept {
  bpf_attr attributes{};
  attributes.target_fd = static_cast<std::uint32_t>(map.get());
  attributes.attach_bpf_fd = static_cast<std::uint32_t>(program.get());
  attributes.attach_type = BPF_SK_SKB_VERDICT;
  return bpf(BPF_PROG_ATTACH, attributes) == 0;
}

/// Whether a release such as 6.18.3-rc1 is least_major.least_minor or a later one.
bool is_recent(std::string_view release) noexcept {
  const char* const last = release.data() + release.size();
  int major = 0;
  const auto [dot, no_major] = std::from_chars(release.data(), last, major);
  if (no_major != std::errc{} || dot == last || *dot != '.') {
    return false;
  }
  int minor = 0;
  const auto [rest, no_minor] = std::from_chars(dot + 1, last, minor);
  return no_minor == std::errc{} &&
         (major > least_major || (major == least_major && minor >= least_minor));
}

bool kernel_is_known(std::string& problem) {
  utsname name{};
  if (::uname(&name) == 0 && is_recent(name.release)) {
    return true;
  }
  problem = std::string("Linux ") + name.release +
            " is older than 6.18, the oldest release that sockmap is tested on";
  return false;
}

std::optional<tcp_info> ask_tcp(int fd) noexcept {
  std::optional<tcp_info> info(std::in_place);
  socklen_t size = sizeof *info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &*info, &size) != 0) {
    info.reset();
  }
  return info;
}

/// Octets given to a socket for sending since it was opened, SYN included. What is acknowledged
/// between the two calls is missed: never more than the truth.
std::uint64_t octets_given(int fd) noexcept {
  const std::optional<tcp_info> info = ask_tcp(fd);
  int queued = 0;
  if (!info || ::ioctl(fd, SIOCOUTQ, &queued) != 0) {
    return 0;
  }
  return std::uint64_t{info->tcpi_bytes_acked} + static_cast<unsigned>(queued);
}

/// The same, exactly; false when it moves too fast.
bool octets_given(int fd, std::uint64_t& octets) noexcept {
  const std::optional<tcp_info> before = ask_tcp(fd);
  int queued = 0;
  if (!before || ::ioctl(fd, SIOCOUTQ, &queued) != 0) {
    return false;
  }
  octets = std::uint64_t{before->tcpi_bytes_acked} + static_cast<unsigned>(queued);
  const std::optional<tcp_info> after = ask_tcp(fd);
  return after && before->tcpi_bytes_acked == after->tcpi_bytes_acked;
}

/// Octets that came in and were read; false if some were not, or more come in just now.
bool octets_consumed(int fd, std::uint64_t& octets) noexcept {
  const std::optional<tcp_info> before = ask_tcp(fd);
  int queued = 0;
  if (!before || ::ioctl(fd, SIOCINQ, &queued) != 0) {
    return false;
  }
  octets = before->tcpi_bytes_received;
  const std::optional<tcp_info> after = ask_tcp(fd);
  return after && queued == 0 && before->tcpi_bytes_received == after->tcpi_bytes_received &&
         after->tcpi_state == 1;  // TCP_ESTABLISHED; the map takes no other
}

}  // namespace

std::shared_ptr<Sockmap> Sockmap::open(std::string& problem) {
  if (!kernel_is_known(problem)) {
    return nullptr;
  }
  const auto failed = [&problem](std::string_view what) {
    const int error = errno;
    problem = std::string(what) + ": " + std::strerror(error);
    if (error == EPERM || error == EACCES) {
      problem += "; gatewayd needs CAP_BPF, CAP_NET_ADMIN and a sandbox that allows bpf(2)";
    }
    return nullptr;
  };
  std::shared_ptr<Sockmap> map(new Sockmap);
  map->sockets_ = create_map(BPF_MAP_TYPE_SOCKMAP, 4, 8, 0);
  map->slots_ = create_map(BPF_MAP_TYPE_HASH, 8, 4, BPF_F_NO_PREALLOC);
  map->entries_ = create_map(BPF_MAP_TYPE_ARRAY, 4, sizeof(Entry), BPF_F_MMAPABLE);
  if (!map->sockets_ || !map->slots_ || !map->entries_) {
    return failed("cannot create the maps");
  }
  void* const memory = ::mmap(nullptr, most_sockets * sizeof(Entry), PROT_READ | PROT_WRITE,
                              MAP_SHARED, map->entries_.get(), 0);
  if (memory == MAP_FAILED) {
    return failed("cannot map the entries into memory");
  }
  map->entry_ = {static_cast<Entry*>(memory), most_sockets};
  map->program_ = load_program(
      sockmap_program({map->sockets_.get(), map->slots_.get(), map->entries_.get(),
                       offsetof(Entry, word), offsetof(Entry, redirected), offsetof(Entry, last)}));
  if (!map->program_) {
    return failed("cannot load the program");
  }
  if (!attach(map->sockets_, map->program_)) {
    return failed("cannot attach the program to the map");
  }
  // The memory and the map hold on to what these were for.
  map->entries_.close();
  map->program_.close();
  map->free_.reserve(most_sockets / 2);
  for (std::size_t slot = most_sockets; slot != 0; slot -= 2) {
    map->free_.push_back(slot - 2);
  }
  return map;
}

Sockmap::~Sockmap() {
  if (!entry_.empty()) {
    ::munmap(entry_.data(), entry_.size_bytes());
  }
}

std::unique_ptr<KernelRelay> Sockmap::join(int first, int second,
                                           const std::array<OwnOctets, 2>& own) {
  if (free_.empty()) {
    return nullptr;
  }
  const std::array<int, 2> sockets{first, second};
  for (const int socket : sockets) {
    int buffer = 0;
    socklen_t size = sizeof buffer;
    if (::getsockopt(socket, SOL_SOCKET, SO_SNDBUF, &buffer, &size) != 0 || buffer < least_buffer) {
      return nullptr;
    }
  }
  // From its construction on the relay gives its slots back.
  std::unique_ptr<KernelRelay> relay(new KernelRelay(shared_from_this(), free_.back()));
  free_.pop_back();
  relay->sources_ = sockets;
  for (std::size_t way = 0; way < 2; ++way) {
    // Nothing unread: a segment that was read in part would be passed as a whole.
    if (!octets_consumed(sockets[way], relay->consumed_[way]) ||
        !octets_given(sockets[1 - way], relay->given_[way])) {
      return nullptr;
    }
    relay->consumed_[way] -= own[way].read;
    relay->given_[way] -= own[way].written;
    socklen_t size = sizeof relay->cookies_[way];
    if (::getsockopt(sockets[way], SOL_SOCKET, SO_COOKIE, &relay->cookies_[way], &size) != 0) {
      return nullptr;
    }
    Entry& entry = entry_[relay->slot_ + way];
    entry.word = 0;
    entry.redirected = 0;
    entry.last = 0;
  }
  return enter(*relay) ? std::move(relay) : nullptr;
}

bool Sockmap::enter(KernelRelay& relay) {
  for (std::size_t way = 0; way < 2; ++way) {
    const auto slot = static_cast<std::uint32_t>(relay.slot_ + way);
    const auto socket = static_cast<std::uint64_t>(relay.sources_[way]);
    if (!update(slots_, &relay.cookies_[way], &slot) || !update(sockets_, &slot, &socket)) {
      // The second may have got its FIN just now. The first stays: it may have octets in the map.
      return way == 1;
    }
  }
  relay.whole_ = true;
  return true;
}

KernelRelay::KernelRelay(std::shared_ptr<Sockmap> map, std::size_t slot) noexcept
    : map_(std::move(map)), slot_(slot), sources_{-1, -1} {}

KernelRelay::~KernelRelay() {
  for (std::size_t way = 0; way < 2; ++way) {
    const auto slot = static_cast<std::uint32_t>(slot_ + way);
    if (cookies_[way] != 0) {
      remove(map_->slots_, &cookies_[way]);
    }
    remove(map_->sockets_, &slot);  // a closed socket has left it by itself
  }
  map_->free_.push_back(slot_);
}

bool KernelRelay::leased(std::size_t way) const noexcept {
  return (map_->entry_[slot_ + way].word.load() & leased_bit) != 0;
}

void KernelRelay::revoke() noexcept {
  for (std::size_t way = 0; way < 2; ++way) {
    std::atomic<std::uint64_t>& word = map_->entry_[slot_ + way].word;
    std::uint64_t now = word.load();
    bool revoked = false;
    while ((now & leased_bit) != 0 && !revoked) {
      revoked = word.compare_exchange_weak(now, 0);
    }
    // The program may be between the two words: has counted a segment off the lease, and not yet to
    // what it redirected, which delivered() goes by. It runs under the source's lock, and what asks
    // for that waits for it.
    if (revoked) {
      static_cast<void>(ask_tcp(sources_[way]));
    }
  }
}

bool KernelRelay::lease(const std::array<OwnOctets, 2>& own) noexcept {
  if (!whole_) {
    return false;
  }
  std::array<std::uint64_t, 2> words{};
  for (std::size_t way = 0; way < 2; ++way) {
    words[way] = map_->entry_[slot_ + way].word.load();
    int unsent = 0;
    if ((words[way] & leased_bit) != 0 || !accounted(way, own[way]) ||
        ::ioctl(sources_[1 - way], SIOCOUTQ, &unsent) != 0 || unsent > most_unsent) {
      return false;
    }
  }
  for (std::size_t way = 0; way < 2; ++way) {
    if (!map_->entry_[slot_ + way].word.compare_exchange_strong(
            words[way], lease_word(lease_messages, lease_octets))) {
      revoke();
      return false;
    }
  }
  return true;
}

bool KernelRelay::delivered(std::size_t way, std::uint64_t written) const noexcept {
  return octets_given(sources_[1 - way]) >= given_[way] + written + redirected(way);
}

bool KernelRelay::accounted(std::size_t way, const OwnOctets& own) const noexcept {
  if (!delivered(way, own.written)) {
    return false;
  }
  const std::optional<tcp_info> info = ask_tcp(sources_[way]);
  return info && info->tcpi_bytes_received == consumed_[way] + own.read + redirected(way);
}

bool KernelRelay::exhausted(std::size_t way, std::uint64_t read) const noexcept {
  const std::optional<tcp_info> info = ask_tcp(sources_[way]);
  // TCP counts FIN as an octet
  return info && info->tcpi_bytes_received == consumed_[way] + read + redirected(way) + 1;
}

std::uint64_t KernelRelay::redirected(std::size_t way) const noexcept {
  return map_->entry_[slot_ + way].redirected.load();
}

std::chrono::steady_clock::time_point KernelRelay::last() const noexcept {
  const std::uint64_t last =
      std::max(map_->entry_[slot_].last.load(), map_->entry_[slot_ + 1].last.load());
  return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(last));
}

}  // namespace socks64::gateway
