#include "relay/relay_pool.hpp"

#include <csignal>
#include <new>
#include <utility>

namespace socks64::gateway {

RelayPool::RelayPool(const RelayPoolConfig& config)
    : config_(config),
      pipes_(config.pipe_octets, config.max_pipes),
      shared_(new std::uint8_t[config.copy_octets]) {
  spare_.reserve(config.spare_blocks);
  if (config.sockmap) {
    std::string problem;
    sockmap_ = Sockmap::open(problem);
  }
  struct sigaction current = {};
  if (::sigaction(SIGPIPE, nullptr, &current) == 0 && current.sa_handler == SIG_DFL) {
    current.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &current, nullptr);
  }
}

RelayPool::Block RelayPool::lend_block() noexcept {
  Block block;
  if (!spare_.empty()) {
    block = std::move(spare_.back());
    spare_.pop_back();
  } else {
    block.reset(new (std::nothrow) std::uint8_t[config_.copy_octets]);
  }
  if (block) {
    ++blocks_lent_;
  }
  return block;
}

void RelayPool::take_back(Block block) noexcept {
  --blocks_lent_;
  if (spare_.size() < config_.spare_blocks) {
    spare_.push_back(std::move(block));
  }
}

}  // namespace socks64::gateway
