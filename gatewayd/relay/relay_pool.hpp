// What the relays of one worker share: a copy buffer, pipes, and blocks for what a full sink leaves
// behind. One per worker, for relays of that worker's thread only.
#ifndef SOCKS64_GATEWAYD_RELAY_POOL_HPP
#define SOCKS64_GATEWAYD_RELAY_POOL_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "relay/pipe_pool.hpp"
#include "relay/relay_flow.hpp"
#include "relay/sockmap.hpp"

namespace socks64::gateway {

struct RelayPoolConfig {
  FlowTuning tuning;
  std::size_t copy_octets = std::size_t{256} << 10;
  std::size_t pipe_octets = std::size_t{256} << 10;
  std::size_t max_pipes = 32;  ///< lent and idle; two descriptors each
  std::size_t spare_blocks = 8;
  bool sockmap = false;                 ///< small messages by the kernel, where it can: sockmap.hpp
  unsigned small_turns_to_kernel = 16;  ///< so many turns of small messages in a row, either way
};

class RelayPool {
 public:
  using Block = std::unique_ptr<std::uint8_t[]>;

  /// Ignores SIGPIPE for the process unless it is handled already: splice(2) has no MSG_NOSIGNAL.
  explicit RelayPool(const RelayPoolConfig& config = {});
  RelayPool(const RelayPool&) = delete;
  RelayPool& operator=(const RelayPool&) = delete;

  [[nodiscard]] const FlowTuning& tuning() const noexcept { return config_.tuning; }

  /// Nothing in it outlives the system call that filled it and the one that empties it.
  [[nodiscard]] std::span<std::uint8_t> shared_buffer() noexcept {
    return {shared_.get(), config_.copy_octets};
  }

  /// As large as the shared buffer; null when memory is out.
  [[nodiscard]] Block lend_block() noexcept;
  void take_back(Block block) noexcept;
  [[nodiscard]] std::size_t blocks_lent() const noexcept { return blocks_lent_; }

  /// Null: the kernel relays nothing.
  [[nodiscard]] Sockmap* sockmap() noexcept { return sockmap_.get(); }
  [[nodiscard]] unsigned small_turns_to_kernel() const noexcept {
    return config_.small_turns_to_kernel;
  }
  [[nodiscard]] PipePool& pipes() noexcept { return pipes_; }

 private:
  RelayPoolConfig config_;
  PipePool pipes_;
  std::shared_ptr<Sockmap> sockmap_;
  Block shared_;
  std::vector<Block> spare_;
  std::size_t blocks_lent_ = 0;
};

}  // namespace socks64::gateway

#endif
