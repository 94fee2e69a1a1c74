// In the place of sockmap.cpp where the build has no BPF: nobody gets a map.
#include "relay/sockmap.hpp"

namespace socks64::gateway {

std::shared_ptr<Sockmap> Sockmap::open(std::string& problem) {
  problem = "this gatewayd was built without sockmap (SOCKS64_WITH_SOCKMAP)";
  return nullptr;
}

Sockmap::~Sockmap() = default;

std::unique_ptr<KernelRelay> Sockmap::join(int, int, const std::array<OwnOctets, 2>&) {
  return nullptr;
}

KernelRelay::~KernelRelay() = default;
bool KernelRelay::leased(std::size_t) const noexcept {
  return false;
}
void KernelRelay::revoke() noexcept {}
bool KernelRelay::lease(const std::array<OwnOctets, 2>&) noexcept {
  return false;
}
bool KernelRelay::delivered(std::size_t, std::uint64_t) const noexcept {
  return true;
}
bool KernelRelay::accounted(std::size_t, const OwnOctets&) const noexcept {
  return true;
}
bool KernelRelay::exhausted(std::size_t, std::uint64_t) const noexcept {
  return true;
}
std::uint64_t KernelRelay::redirected(std::size_t) const noexcept {
  return 0;
}
std::chrono::steady_clock::time_point KernelRelay::last() const noexcept {
  return {};
}

}  // namespace socks64::gateway
