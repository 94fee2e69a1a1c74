// download, upload, duplex, small: as much as goes.
#include <cerrno>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "pattern.hpp"
#include "scenario.hpp"

namespace load {
namespace {

struct Way {
  Service service = Service::both;
  bool sends = true, receives = true;
};

Way way_of(const std::string& scenario) {
  if (scenario == "download") {
    return {Service::source, false, true};
  }
  if (scenario == "duplex") {
    return {Service::both, true, true};
  }
  return {Service::sink, true, false};
}

class Stream final : public Client {
 public:
  Stream(Scenario& scenario, Loop& loop, const Options& options, Targets& targets, Way way,
         std::size_t piece, int turns)
      : Client(loop, options, targets, way.service),
        scenario_(scenario),
        way_(way),
        turns_(turns),
        source_(piece) {}
  std::uint64_t octets() const { return source_.octets() + discard_.octets(); }

 private:
  void opened() override {
    if (way_.sends) {
      want(EPOLLIN | EPOLLOUT);
    }
    scenario_.opened_one();
  }

  void io(std::uint32_t events) override {
    if (way_.sends && (events & EPOLLOUT) != 0 && !source_.write(fd(), turns_)) {
      fail_with_errno("send");
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) {
      return;
    }
    switch (discard_.read(fd())) {
      case Discard::Result::got:
        if (!way_.receives) {
          fail("octets that nobody sent");
        }
        return;
      case Discard::Result::nothing:
        return;
      case Discard::Result::end:
        fail("early end after " + std::to_string(octets()) + " octets");
      case Discard::Result::error:
        fail_with_errno("after " + std::to_string(octets()) + " octets");
    }
  }

  Scenario& scenario_;
  Way way_;
  int turns_;
  Source source_;
  Discard discard_;
};

class Streams final : public Scenario {
 public:
  Streams(Loop& loop, const Options& options)
      : Scenario(loop, options),
        piece_(options.scenario == "small" ? options.size_or(1024) : longest_piece) {
    const Way way = way_of(options.scenario);
    for (int i = 0; i < options.connections; ++i) {
      // Small messages: each is a write of its own, and the streams take turns.
      auto stream = std::make_unique<Stream>(*this, loop, options, targets_, way, piece_,
                                             options.scenario == "small" ? 16 : 2);
      streams_.push_back(stream.get());
      clients_.push_back(std::move(stream));
    }
  }

  void begin() override { before_ = octets(); }

  void end(double seconds, Figures& figures) override {
    const std::uint64_t moved = octets() - before_;
    if (moved == 0) {
      throw Failed("nothing moved in " + std::to_string(seconds) + " s");
    }
    figures.add("octets", moved);
    figures.add("gb_per_second", static_cast<double>(moved) / seconds / 1e9);
    if (options_.scenario == "small") {
      figures.add("messages_per_second",
                  static_cast<double>(moved) / static_cast<double>(piece_) / seconds);
    }
  }

 private:
  std::uint64_t octets() const {
    std::uint64_t sum = 0;
    for (const Stream* stream : streams_) {
      sum += stream->octets();
    }
    return sum;
  }

  std::size_t piece_;
  std::vector<const Stream*> streams_;
  std::uint64_t before_ = 0;
};

}  // namespace

std::unique_ptr<Scenario> make_streams(Loop& loop, const Options& options) {
  return std::make_unique<Streams>(loop, options);
}

}  // namespace load
