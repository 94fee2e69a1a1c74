// bench_load: the load of tests/bench/run, and its destination. See `usage`.
#include <array>
#include <cstdio>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "scenario.hpp"
#include "serve.hpp"

namespace load {
namespace {

std::unique_ptr<Scenario> make(Loop& loop, const Options& options) {
  const std::string& name = options.scenario;
  if (name == "download" || name == "upload" || name == "duplex" || name == "small") {
    return make_streams(loop, options);
  }
  if (name == "pings") {
    return make_pings(loop, options);
  }
  if (name == "connects") {
    return make_connects(loop, options);
  }
  if (name == "udp") {
    return make_udp(loop, options);
  }
  if (name == "idle" || name == "trickle" || name == "stuck") {
    return make_beside(loop, options);
  }
  throw Failed("unknown scenario '" + name + "'; see --help");
}

void say(const char* word) {
  std::puts(word);
  std::fflush(stdout);
}

/// CPU seconds of this process.
double cpu() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

/// That stdin has ended. What is written there counts for nothing.
bool stdin_ended() {
  pollfd waiting{STDIN_FILENO, POLLIN, 0};
  if (::poll(&waiting, 1, 0) <= 0) {
    return false;
  }
  std::array<char, 256> octets;
  return ::read(STDIN_FILENO, octets.data(), octets.size()) <= 0;
}

Clock::duration seconds(double count) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(count));
}

class Run {
 public:
  explicit Run(const Options& options) : options_(options), scenario_(make(loop_, options)) {
    if (options.with_destination) {
      destination_ = std::make_unique<Destination>(loop_, options);
    }
  }

  void all() {
    scenario_->start();
    const auto deadline = Clock::now() + std::chrono::seconds(options_.patience);
    while (!scenario_->all_open()) {
      turn();
      if (Clock::now() > deadline) {
        throw Failed("after " + std::to_string(options_.patience) + " s only " +
                     std::to_string(scenario_->open()) + " of " +
                     std::to_string(options_.connections) + " connections are open");
      }
    }
    say("open");
    Figures figures;
    figures.add_text("scenario", options_.scenario);
    if (scenario_->rests()) {
      while (!stdin_ended()) {
        turn();
      }
      scenario_->end(0, figures);
    } else {
      measure(figures);
    }
    say(figures.json().c_str());
  }

 private:
  void turn() {
    loop_.turn(5);
    scenario_->tick(Clock::now());
  }

  void measure(Figures& figures) {
    for (const auto end = Clock::now() + seconds(options_.warm_up); Clock::now() < end;) {
      turn();
    }
    say("begin");
    const double cpu_before = cpu();
    const auto begin = Clock::now();
    scenario_->begin();
    for (const auto end = begin + seconds(options_.seconds); Clock::now() < end;) {
      turn();
    }
    const double took = std::chrono::duration<double>(Clock::now() - begin).count();
    figures.add("seconds", took);
    figures.add("load_cpu_seconds", cpu() - cpu_before);
    say("end");
    scenario_->end(took, figures);
  }

  const Options& options_;
  Loop loop_;
  std::unique_ptr<Destination> destination_;
  std::unique_ptr<Scenario> scenario_;
};

}  // namespace

void Scenario::start() {
  for (int i = 0; i < 128; ++i) {
    open_next();
  }
}

void Scenario::open_next() {
  if (begun_ < clients_.size()) {
    clients_[begun_++]->open();
  }
}

void Scenario::opened_one() {
  ++open_;
  open_next();
}

}  // namespace load

int main(int count, char** words) {
  const std::vector<std::string> arguments(words + 1, words + count);
  if (arguments.empty() || arguments[0] == "--help") {
    std::fputs(load::usage, stdout);
    return arguments.empty() ? 2 : 0;
  }
  try {
    const load::Options options = load::options_of({arguments.begin() + 1, arguments.end()});
    if (arguments[0] == "serve") {
      load::serve(options);
    }
    if (arguments[0] != "run") {
      throw load::Failed("expected 'serve' or 'run', not '" + arguments[0] + "'");
    }
    load::Run(options).all();
    return 0;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "bench_load: %s\n", failure.what());
    return 1;
  }
}
