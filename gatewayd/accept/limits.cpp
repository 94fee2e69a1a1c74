#include "accept/limits.hpp"

#include <algorithm>

namespace socks64::gateway {

std::size_t sessions_for_descriptors(std::size_t descriptors, unsigned threads,
                                     std::size_t associations) noexcept {
  const std::size_t pipes = std::min<std::size_t>(descriptors / 10, 64U * std::size_t{threads});
  const std::size_t taken = 32 + std::size_t{5} * threads + pipes + 2 * associations;
  return descriptors > taken + 2 ? (descriptors - taken) / 2 : 1;
}

std::optional<SessionLimit::Ticket> SessionLimit::admit() noexcept {
  if (full()) {
    return std::nullopt;
  }
  count_.fetch_add(1);
  return Ticket(*this);
}

void SessionLimit::when_idle(std::function<void()> idle) {
  idle_ = std::move(idle);
  watched_.store(true);
}

void SessionLimit::give_back() noexcept {
  if (count_.fetch_sub(1) == 1 && watched_.load()) {
    idle_();
  }
}

}  // namespace socks64::gateway
