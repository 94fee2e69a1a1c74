#include "udp/udp_peers.hpp"

#include <functional>
#include <string_view>
#include <utility>

namespace socks64::gateway {

std::size_t UdpPeers::Hash::operator()(const IpAddress& address) const noexcept {
  const auto bytes = address.bytes();
  return std::hash<std::string_view>{}({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

UdpPeer* UdpPeers::find(const IpAddress& address) noexcept {
  // Most associations have one peer, and most datagrams follow one to or from the same.
  if (!peers_.empty() && peers_.front().address == address) {
    return &peers_.front();
  }
  const auto found = index_.find(address);
  if (found == index_.end()) {
    return nullptr;
  }
  peers_.splice(peers_.begin(), peers_, found->second);
  return &peers_.front();
}

void UdpPeers::remember(UdpPeer peer) {
  if (UdpPeer* const known = find(peer.address)) {
    *known = std::move(peer);
    return;
  }
  if (index_.size() >= capacity_) {
    index_.erase(peers_.back().address);
    peers_.pop_back();
  }
  peers_.push_front(std::move(peer));
  try {
    index_.emplace(peers_.front().address, peers_.begin());
  } catch (...) {
    peers_.pop_front();
    throw;
  }
}

void UdpPeers::clear() noexcept {
  index_.clear();
  peers_.clear();
}

}  // namespace socks64::gateway
