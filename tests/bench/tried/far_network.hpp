// A second network namespace, reached by a cable: a veth pair, or one that takes its time.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "rig.hpp"

namespace tried {

class FarNetwork {
 public:
  enum class Cable { veth, slow };
  /// `delay`: of a slow cable, seconds each way. Check reached(): needs ip(8), and /dev/net/tun for
  /// a slow cable.
  explicit FarNetwork(Cable cable, double delay = 0);
  ~FarNetwork();
  FarNetwork(const FarNetwork&) = delete;
  FarNetwork& operator=(const FarNetwork&) = delete;

  [[nodiscard]] bool reached() const noexcept { return reached_; }
  /// Runs `work` in the far network, and waits for it.
  void over_there(const std::function<void()>& work);
  /// The far network's address, with `port`.
  [[nodiscard]] static sockaddr_in address(int port);

 private:
  void run();
  void carry(int here, int there, double delay) const;

  bool reached_ = false;
  int stop_[2] = {-1, -1};
  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* work_ = nullptr;
  bool over_ = false;
  int id_ = 0;
  std::thread thread_;
  std::thread carrier_;
};

}  // namespace tried
