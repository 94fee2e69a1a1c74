// What a run does with its connections. One file for each kind.
#ifndef SOCKS64_BENCH_SCENARIO_HPP
#define SOCKS64_BENCH_SCENARIO_HPP

#include <memory>
#include <vector>

#include "client.hpp"
#include "figures.hpp"

namespace load {

class Scenario {
 public:
  Scenario(Loop& loop, const Options& options)
      : loop_(loop), options_(options), targets_(options) {}
  virtual ~Scenario() = default;
  Scenario(const Scenario&) = delete;
  Scenario& operator=(const Scenario&) = delete;

  /// Opens all, at most 128 at once.
  void start();
  bool all_open() const { return open_ == clients_.size(); }
  std::size_t open() const { return open_; }
  /// Nothing is measured in here: it goes on until stdin ends.
  virtual bool rests() const { return false; }
  /// After every turn of the loop.
  virtual void tick(Clock::time_point) {}
  /// All figures count from here.
  virtual void begin() {}
  /// Figures of `seconds`.
  virtual void end(double seconds, Figures& figures) = 0;

  /// Of the clients: this one is open, for the first time.
  void opened_one();

 protected:
  Loop& loop_;
  const Options& options_;
  Targets targets_;
  std::vector<std::unique_ptr<Client>> clients_;

 private:
  void open_next();
  std::size_t begun_ = 0;
  std::size_t open_ = 0;
};

std::unique_ptr<Scenario> make_streams(Loop& loop,
                                       const Options& options);  // download, upload, duplex, small
std::unique_ptr<Scenario> make_pings(Loop& loop, const Options& options);
std::unique_ptr<Scenario> make_connects(Loop& loop, const Options& options);
std::unique_ptr<Scenario> make_udp(Loop& loop, const Options& options);
std::unique_ptr<Scenario> make_beside(Loop& loop, const Options& options);  // idle, trickle, stuck

}  // namespace load

#endif
