#include "names/address_info.hpp"

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <netinet/in.h>

#include "socks64/sockaddr.hpp"

#include "host/file_text.hpp"
#include "names/services.hpp"

namespace socks64::shim {
namespace {

/// What libc knows, in its order: it is the order in which programs get to see the lines.
struct KnownTransport {
  int socktype;
  int protocol;
  std::string_view service_protocol;  ///< empty: services have no names here
  bool any_protocol;
  bool by_default;  ///< offered when the hints say nothing
};
constexpr KnownTransport known_transports[] = {
    {SOCK_STREAM, IPPROTO_TCP, "tcp", false, true},
    {SOCK_DGRAM, IPPROTO_UDP, "udp", false, true},
    {SOCK_DCCP, IPPROTO_DCCP, "dccp", false, false},
    {SOCK_DGRAM, IPPROTO_UDPLITE, "udplite", false, false},
    {SOCK_STREAM, IPPROTO_SCTP, "sctp", false, false},
    {SOCK_SEQPACKET, IPPROTO_SCTP, "sctp", false, false},
    {SOCK_RAW, 0, "", true, true},
};

bool parse_number(const char* service, std::uint32_t& number) noexcept {
  std::string_view text = service;
  if (text.empty()) {
    number = 0;  // as libc's strtoul reads it
    return true;
  }
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && stop == text.data() + text.size();
}

// A node: the addrinfo, a mark, the socket address. On glibc, where a node is one block of malloc
// and the canonical name another, libc's own freeaddrinfo can free it too. Elsewhere (musl) libc's
// nodes lie in one counted block, and freeaddrinfo has to know whose node it got. It looks at the
// distance of the socket address from the node first, and nobody else has the mark between them:
// so the mark is read only where there surely is one.
struct Node {
  addrinfo info;
  std::uintptr_t mark;
  alignas(16) sockaddr_storage address;
};

constexpr std::uintptr_t mark_secret = 0x534f434b;  // "SOCK"

std::uintptr_t mark_of(const Node* node) noexcept {
  return reinterpret_cast<std::uintptr_t>(node) ^ mark_secret;
}

Node* our_node(addrinfo* info) noexcept {
  auto* const node = reinterpret_cast<Node*>(info);
  const auto start = reinterpret_cast<std::uintptr_t>(info);
  const auto address = reinterpret_cast<std::uintptr_t>(info->ai_addr);
  return address == start + offsetof(Node, address) && node->mark == mark_of(node) ? node : nullptr;
}

}  // namespace

int find_transports(const char* service, const addrinfo& hints, Transports& out) noexcept {
  std::uint32_t number = 0;
  const bool named = service != nullptr && !parse_number(service, number);
  if (named && (hints.ai_flags & AI_NUMERICSERV) != 0) {
    return EAI_NONAME;
  }
  if (!named && number > 65535) {
    return EAI_SERVICE;
  }
  const bool open = hints.ai_socktype == 0 && hints.ai_protocol == 0;
  bool fits_some = false;
  for (const KnownTransport& known : known_transports) {
    const bool fits = open ? known.by_default
                           : (hints.ai_socktype == 0 || hints.ai_socktype == known.socktype) &&
                                 (hints.ai_protocol == 0 || known.any_protocol ||
                                  hints.ai_protocol == known.protocol);
    if (!fits) {
      continue;
    }
    fits_some = true;
    Port port = static_cast<Port>(number);
    if (!named ||
        (!known.service_protocol.empty() && find_service(service, known.service_protocol, port))) {
      out.list[out.count++] = {known.socktype,
                               known.any_protocol ? hints.ai_protocol : known.protocol, port};
    }
    if (!open) {
      break;  // the first that fits is the one
    }
  }
  if (!fits_some) {
    return hints.ai_socktype != 0 ? EAI_SOCKTYPE : EAI_SERVICE;
  }
  return out.count != 0 ? 0 : EAI_SERVICE;
}

int build_address_info(std::span<const IpAddress> addresses, const Transports& transports,
                       std::string_view canonical, int flags, addrinfo** result) noexcept {
  addrinfo* list = nullptr;
  addrinfo** tail = &list;
  for (const IpAddress& address : addresses) {
    for (std::size_t i = 0; i < transports.count; ++i) {
      const Transport& transport = transports.list[i];
      auto* const node = static_cast<Node*>(std::malloc(sizeof(Node)));
      if (node == nullptr) {
        list = free_our_address_info(list);
        return EAI_MEMORY;
      }
      node->mark = mark_of(node);
      const socklen_t length = to_sockaddr({address, transport.port}, node->address);
      node->info = {};
      node->info.ai_flags = flags;
      node->info.ai_family = address.is_v4() ? AF_INET : AF_INET6;
      node->info.ai_socktype = transport.socktype;
      node->info.ai_protocol = transport.protocol;
      node->info.ai_addrlen = length;
      node->info.ai_addr = reinterpret_cast<sockaddr*>(&node->address);
      *tail = &node->info;
      tail = &node->info.ai_next;
    }
  }
  if (list != nullptr && (flags & AI_CANONNAME) != 0) {
    list->ai_canonname = static_cast<char*>(std::malloc(canonical.size() + 1));
    if (list->ai_canonname == nullptr) {
      list = free_our_address_info(list);
      return EAI_MEMORY;
    }
    std::memcpy(list->ai_canonname, canonical.data(), canonical.size());
    list->ai_canonname[canonical.size()] = '\0';
  }
  *result = list;
  return 0;
}

addrinfo* free_our_address_info(addrinfo* list) noexcept {
  while (list != nullptr) {
    Node* const node = our_node(list);
    if (node == nullptr) {
      break;
    }
    list = list->ai_next;
    node->mark = 0;  // a second free is libc's to notice
    std::free(node->info.ai_canonname);
    std::free(node);
  }
  return list;
}

}  // namespace socks64::shim
