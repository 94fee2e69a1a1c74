// udp: --window datagrams under way in each association, all checked; a lost one is counted after
// 200 ms and sent anew.
#include <array>
#include <cerrno>
#include <cstring>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "pattern.hpp"
#include "scenario.hpp"

namespace load {
namespace {

constexpr auto lost_after = std::chrono::milliseconds(200);
constexpr std::size_t most = 64;  // datagrams a system call
constexpr std::size_t longest = 65536;

struct Counts {
  Latencies latencies;
  std::uint64_t received = 0, lost = 0;
  void clear() { *this = {}; }
};

/// The first octets of each payload; the pattern from number `sequence` on follows.
struct Mark {
  std::uint64_t sequence = 0;
  std::uint32_t slot = 0;
};

struct Buffers {
  std::array<mmsghdr, most> messages{};
  std::array<iovec, most> pieces{};
  std::array<std::array<char, CMSG_SPACE(sizeof(int))>, most> controls{};
  std::array<std::array<char, longest>, most> octets;
};

Buffers& buffers() {
  static auto made = std::make_unique<Buffers>();
  return *made;
}

/// The datagrams of one association.
class Datagrams final : public Handler {
 public:
  Datagrams(Loop& loop, const Options& options, const Address& to, std::string header,
            Counts& counts)
      : options_(options),
        header_(std::move(header)),
        counts_(counts),
        slots_(static_cast<std::size_t>(options.window)) {
    fd_ = Descriptor(::socket(to.storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&to.storage), to.length) != 0) {
      fail_errno("UDP connect");
    }
    const int room = 4 << 20;
    if (::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0) {
      ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    }
    const int on = 1;
    if (options.gso && ::setsockopt(fd_.get(), SOL_UDP, UDP_GRO, &on, sizeof on) != 0) {
      fail_errno("UDP_GRO");
    }
    length_ = header_.size() + std::max(options.size_or(200), sizeof(Mark));
    loop.add(fd_.get(), EPOLLIN, *this);
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      due_.push_back(i);
    }
    send_due();
  }

  void ready(std::uint32_t) override {
    Buffers& all = buffers();
    for (std::size_t i = 0; i < most; ++i) {
      all.pieces[i] = {all.octets[i].data(), longest};
      all.messages[i].msg_hdr = {};
      all.messages[i].msg_hdr.msg_iov = &all.pieces[i];
      all.messages[i].msg_hdr.msg_iovlen = 1;
      if (options_.gso) {
        all.messages[i].msg_hdr.msg_control = all.controls[i].data();
        all.messages[i].msg_hdr.msg_controllen = all.controls[i].size();
      }
    }
    const int count = ::recvmmsg(fd_.get(), all.messages.data(), most, 0, nullptr);
    if (count < 0 && errno != EAGAIN) {
      fail_errno("UDP receive");
    }
    for (std::size_t i = 0; count > 0 && i < static_cast<std::size_t>(count); ++i) {
      const std::size_t whole = all.messages[i].msg_len;
      const std::size_t each = segment_of(all.messages[i].msg_hdr, whole);
      for (std::size_t at = 0; at < whole; at += each) {
        take(all.octets[i].data() + at, std::min(each, whole - at));
      }
    }
    send_due();
  }

  void look_for_lost(Clock::time_point now) {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (now - slots_[i].sent < lost_after) {
        continue;
      }
      ++counts_.lost;
      due_.push_back(i);
    }
    send_due();
  }

 private:
  struct Slot {
    std::uint64_t sequence = 0;
    Clock::time_point sent;
  };

  static std::size_t segment_of(msghdr& header, std::size_t whole) {
    for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr;
         part = CMSG_NXTHDR(&header, part)) {
      if (part->cmsg_level != SOL_UDP || part->cmsg_type != UDP_GRO) {
        continue;
      }
      int segment = 0;
      std::memcpy(&segment, CMSG_DATA(part), sizeof segment);
      if (segment > 0) {
        return static_cast<std::size_t>(segment);
      }
    }
    return std::max<std::size_t>(whole, 1);
  }

  void take(const char* octets, std::size_t length) {
    // The header that comes back names the same destination; a literal's has the same length.
    if (length != length_) {
      throw Failed("a datagram of " + std::to_string(length) + " octets instead of " +
                   std::to_string(length_));
    }
    if (std::memcmp(octets, header_.data(), header_.size()) != 0) {
      throw Failed("a datagram came back with another header");
    }
    Mark mark;
    std::memcpy(&mark, octets + header_.size(), sizeof mark);
    const std::size_t beyond = header_.size() + sizeof mark;
    if (mark.slot >= slots_.size() ||
        std::memcmp(octets + beyond, pattern_at(mark.sequence), length - beyond) != 0) {
      throw Failed("a datagram came back with wrong octets");
    }
    Slot& slot = slots_[mark.slot];
    if (slot.sequence != mark.sequence) {
      return;  // counted as lost, and late
    }
    ++counts_.received;
    counts_.latencies.add(Clock::now() - slot.sent);
    slot.sequence = 0;
    due_.push_back(mark.slot);
  }

  void send_due() {
    if (due_.empty()) {
      return;
    }
    Buffers& all = buffers();
    const auto now = Clock::now();
    for (std::size_t i = 0; i < due_.size(); ++i) {
      Slot& slot = slots_[due_[i]];
      slot = {++sequence_, now};
      // For GSO one behind the other, otherwise a buffer each.
      char* octets = options_.gso ? all.octets[0].data() + i * length_ : all.octets[i].data();
      const Mark mark{slot.sequence, static_cast<std::uint32_t>(due_[i])};
      std::memcpy(octets, header_.data(), header_.size());
      std::memcpy(octets + header_.size(), &mark, sizeof mark);
      const std::size_t beyond = header_.size() + sizeof mark;
      std::memcpy(octets + beyond, pattern_at(mark.sequence), length_ - beyond);
    }
    options_.gso ? send_segments(due_.size()) : send_each(due_.size());
    due_.clear();
  }

  void send_each(std::size_t count) {
    Buffers& all = buffers();
    for (std::size_t i = 0; i < count; ++i) {
      all.pieces[i] = {all.octets[i].data(), length_};
      all.messages[i].msg_hdr = {};
      all.messages[i].msg_hdr.msg_iov = &all.pieces[i];
      all.messages[i].msg_hdr.msg_iovlen = 1;
    }
    // What is not sent counts as lost later.
    if (::sendmmsg(fd_.get(), all.messages.data(), static_cast<unsigned>(count), 0) < 0 &&
        errno != EAGAIN) {
      fail_errno("UDP send");
    }
  }

  void send_segments(std::size_t count) {
    Buffers& all = buffers();
    msghdr message{};
    all.pieces[0] = {all.octets[0].data(), count * length_};
    message.msg_iov = all.pieces.data();
    message.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(std::uint16_t))> control{};
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_UDP;
    part->cmsg_type = UDP_SEGMENT;
    part->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
    const auto segment = static_cast<std::uint16_t>(length_);
    std::memcpy(CMSG_DATA(part), &segment, sizeof segment);
    if (::sendmsg(fd_.get(), &message, 0) < 0 && errno != EAGAIN) {
      fail_errno("UDP send");
    }
  }

  const Options& options_;
  std::string header_;
  Counts& counts_;
  Descriptor fd_;
  std::size_t length_ = 0;
  std::uint64_t sequence_ = 0;
  std::vector<Slot> slots_;
  std::vector<std::size_t> due_;
};

class Association final : public Client {
 public:
  Association(Scenario& scenario, Loop& loop, const Options& options, Targets& targets,
              Counts& counts)
      : Client(loop, options, targets, Service::echo), scenario_(scenario), counts_(counts) {
    command_ = Command::udp_associate;
  }

  void look_for_lost(Clock::time_point now) {
    if (datagrams_) {
      datagrams_->look_for_lost(now);
    }
  }

 private:
  void opened() override {
    // With --direct, a TCP connection that rests, and datagrams without a header.
    const Address to = options().direct ? address_of(target(), options().port) : bound();
    const std::string header = options().direct ? "" : std::string(3, '\0') + destination_octets();
    datagrams_ = std::make_unique<Datagrams>(loop(), options(), to, header, counts_);
    scenario_.opened_one();
  }
  void io(std::uint32_t) override { fail("the association's TCP connection ended"); }

  Scenario& scenario_;
  Counts& counts_;
  std::unique_ptr<Datagrams> datagrams_;
};

class Udp final : public Scenario {
 public:
  Udp(Loop& loop, const Options& options) : Scenario(loop, options) {
    if (options.gso &&
        (options.size_or(200) + 22) * static_cast<std::size_t>(options.window) > 65000) {
      throw Failed("--gso: window times size must be below 65000 octets");
    }
    for (int i = 0; i < options.connections; ++i) {
      auto one = std::make_unique<Association>(*this, loop, options, targets_, counts_);
      associations_.push_back(one.get());
      clients_.push_back(std::move(one));
    }
  }

  void tick(Clock::time_point now) override {
    if (now < next_look_) {
      return;
    }
    next_look_ = now + lost_after / 4;
    for (Association* one : associations_) {
      one->look_for_lost(now);
    }
  }

  void begin() override { counts_.clear(); }

  void end(double seconds, Figures& figures) override {
    if (counts_.received == 0) {
      throw Failed("no datagram came back in " + std::to_string(seconds) + " s");
    }
    figures.add("messages", counts_.received);
    figures.add("messages_per_second", static_cast<double>(counts_.received) / seconds);
    figures.add("lost", counts_.lost);
    figures.add("latency_us", counts_.latencies);
  }

 private:
  Counts counts_;
  std::vector<Association*> associations_;
  Clock::time_point next_look_{};
};

}  // namespace

std::unique_ptr<Scenario> make_udp(Loop& loop, const Options& options) {
  return std::make_unique<Udp>(loop, options);
}

}  // namespace load
