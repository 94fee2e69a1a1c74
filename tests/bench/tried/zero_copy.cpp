// MSG_ZEROCOPY against send() and splice(), over loopback and over a veth pair. Both deliver to a
// socket of the same kernel, which has to copy what it may not keep: so this shows what
// MSG_ZEROCOPY costs, and not what a network card would make of it.
#include <cerrno>
#include <cstdio>
#include <ctime>  // linux/errqueue.h needs timespec
#include <linux/errqueue.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include "far_network.hpp"
#include "links.hpp"

#ifndef SO_ZEROCOPY
#define SO_ZEROCOPY 60
#endif

namespace tried {
namespace {

constexpr std::size_t octets = 200'000'000;

/// Waits for notices of finished sends: how many sends they stand for, and for how many of them the
/// kernel had copied after all.
void wait_for_notices(int fd, unsigned& finished, unsigned& copied) {
  pollfd ask{fd, 0, 0};  // POLLERR
  check(::poll(&ask, 1, -1), "poll");
  for (;;) {
    char control[128];
    msghdr message{};
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    if (::recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
      return;
    }
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
      const auto* notice = reinterpret_cast<const sock_extended_err*>(CMSG_DATA(part));
      if (notice->ee_origin != SO_EE_ORIGIN_ZEROCOPY) {
        continue;
      }
      const unsigned count = notice->ee_data - notice->ee_info + 1;
      finished += count;
      if ((notice->ee_code & SO_EE_CODE_ZEROCOPY_COPIED) != 0) {
        copied += count;
      }
    }
  }
}

/// The sending half of a relay alone: CPU s/GB, GB/s, % of the sends that were copied.
std::vector<double> sending(const MakePair& make, std::size_t size, bool zero_copy) {
  const Pair pair = make();
  if (zero_copy) {
    set(pair.near, SOL_SOCKET, SO_ZEROCOPY, 1);
  }
  std::thread reader = on_core(load_core, [&] {
    char none = 0;
    while (::recv(pair.far, &none, 1 << 20, MSG_TRUNC) > 0) {
    }
  });
  unsigned sends = 0, finished = 0, copied = 0;
  double cpu = 0;
  const double begin = now();
  on_core(server_core, [&] {
    constexpr unsigned buffers = 16;  // in flight; none is touched before its notice
    std::vector<char> memory(buffers * size, 'x');
    const double before = thread_cpu();
    for (std::size_t sent = 0; sent < octets;) {
      while (zero_copy && sends - finished >= buffers) {
        wait_for_notices(pair.near, finished, copied);
      }
      const char* data = memory.data() + sends % buffers * size;
      const ssize_t n =
          ::send(pair.near, data, size, MSG_NOSIGNAL | (zero_copy ? MSG_ZEROCOPY : 0));
      if (n <= 0) {
        give_up("send");
      }
      sent += static_cast<std::size_t>(n);
      ++sends;
    }
    while (zero_copy && finished < sends) {
      wait_for_notices(pair.near, finished, copied);
    }
    cpu = thread_cpu() - before;
  }).join();
  const double took = now() - begin;
  ::shutdown(pair.near, SHUT_WR);
  reader.join();
  ::close(pair.near);
  ::close(pair.far);
  return {cpu / (octets * 1e-9), octets * 1e-9 / took, 100.0 * copied / sends};
}

void table(const Options& options, const std::string& where, const MakePair& make) {
  std::vector<Row> rows;
  for (const std::size_t size : {std::size_t{16} << 10, std::size_t{256} << 10}) {
    for (const bool zero_copy : {false, true}) {
      rows.push_back({where + ", " + (zero_copy ? "MSG_ZEROCOPY " : "send ") +
                          std::to_string(size >> 10) + " KiB",
                      [=] { return sending(make, size, zero_copy); }});
    }
  }
  measure(options, "MSG_ZEROCOPY, sending alone", {"CPU s/GB*", "GB/s", "copied after all, %"},
          rows);
  std::vector<Row> relays;
  relays.push_back(
      {where + ", relay by copying", [=] { return bulk(epoll_copy({}), 1, octets, make); }});
  relays.push_back(
      {where + ", relay by splice", [=] { return bulk(epoll_splice({}), 1, octets, make); }});
  measure(options, "The whole relay, for comparison", {"CPU s/GB*", "GB/s"}, relays);
}

}  // namespace

void zero_copy(const Options& options) {
  table(options, "loopback", tcp_pair);
  FarNetwork far(FarNetwork::Cable::veth);
  if (!far.reached()) {
    std::printf("\nMSG_ZEROCOPY over veth: no second namespace on this machine\n");
    return;
  }
  table(options, "veth", [&far] {
    int port = 0;
    int listener = -1;
    far.over_there([&] { listener = listen_on_loopback(port); });
    Pair pair{};
    pair.near = connect_to(FarNetwork::address(port));
    pair.far = check(::accept(listener, nullptr, nullptr), "accept");
    set(pair.far, IPPROTO_TCP, TCP_NODELAY, 1);
    ::close(listener);
    return pair;
  });
}

}  // namespace tried
