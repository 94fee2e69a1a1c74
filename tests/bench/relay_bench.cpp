// The cost of relaying: GB/s and CPU seconds per GB for copying, splicing, and what the relay
// chooses by itself. One process: peers that write and read over loopback, one worker that relays.
// The CPU figure is the worker's alone.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <time.h>

#include "rig/relay_rig.hpp"

namespace {

using namespace socks64::gateway;
using Wall = std::chrono::steady_clock;

struct Options {
  std::size_t mebibytes = 2048;
  std::size_t pipe = 256;
  std::size_t buffer = 256;
  std::size_t turn = 512;
  int rounds = 5;
  std::string only;
};

struct Figures {
  double rate = 0;  // GB/s
  double cpu = 0;   // CPU s/GB
};

double worker_cpu(rig::Worker& worker) {
  return worker.ask([] {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
  });
}

/// `streams` peers write messages of `message` octets; 0: as much as the socket takes. Each message
/// is answered by one octet when `turns` is set, so that there is one in flight.
Figures bulk(const RelayPoolConfig& config, int streams, std::size_t message, std::size_t total) {
  rig::Worker worker(config);
  std::vector<std::unique_ptr<rig::Relayed>> relays;
  for (int i = 0; i < streams; ++i) {
    relays.push_back(std::make_unique<rig::Relayed>(worker));
  }
  const std::size_t each = total / static_cast<std::size_t>(streams);
  const double cpu_before = worker_cpu(worker);
  const auto begin = Wall::now();
  std::vector<std::thread> peers;
  for (auto& relayed : relays) {
    peers.emplace_back([&relayed, each, message] {
      const std::vector<char> data(message == 0 ? 1 << 20 : message, 'x');
      for (std::size_t sent = 0; sent < each;) {
        const ssize_t n = ::send(relayed->client.get(), data.data(),
                                 std::min(data.size(), each - sent), MSG_NOSIGNAL);
        if (n <= 0) {
          std::abort();
        }
        sent += static_cast<std::size_t>(n);
      }
      ::shutdown(relayed->client.get(), SHUT_WR);
    });
    peers.emplace_back([&relayed, each] {
      // MSG_TRUNC discards in the kernel: the reader is to cost as little as possible.
      std::vector<char> room(1 << 20);
      std::size_t got = 0;
      for (;;) {
        const ssize_t n = ::recv(relayed->destination.get(), room.data(), room.size(), MSG_TRUNC);
        if (n <= 0) {
          break;
        }
        got += static_cast<std::size_t>(n);
      }
      if (got != each) {
        std::abort();
      }
    });
  }
  for (auto& peer : peers) {
    peer.join();
  }
  const std::chrono::duration<double> took = Wall::now() - begin;
  const double cpu = worker_cpu(worker) - cpu_before;
  const double gigabytes = static_cast<double>(each) * streams * 1e-9;
  return {gigabytes / took.count(), cpu / gigabytes};
}

/// One message at a time in each stream, answered by the same number of octets.
Figures ping(const RelayPoolConfig& config, int streams, std::size_t message, std::size_t count) {
  rig::Worker worker(config);
  std::vector<std::unique_ptr<rig::Relayed>> relays;
  for (int i = 0; i < streams; ++i) {
    relays.push_back(std::make_unique<rig::Relayed>(worker));
  }
  const double cpu_before = worker_cpu(worker);
  const auto begin = Wall::now();
  std::vector<std::thread> peers;
  for (auto& relayed : relays) {
    peers.emplace_back([&relayed, message, count] {
      std::vector<char> data(message, 'x');
      for (std::size_t i = 0; i < count; ++i) {
        for (std::size_t sent = 0; sent < message;) {
          const ssize_t n =
              ::send(relayed->client.get(), data.data() + sent, message - sent, MSG_NOSIGNAL);
          if (n <= 0) {
            std::abort();
          }
          sent += static_cast<std::size_t>(n);
        }
        if (::recv(relayed->client.get(), data.data(), message, MSG_WAITALL) !=
            static_cast<ssize_t>(message)) {
          std::abort();
        }
      }
    });
    peers.emplace_back([&relayed, message, count] {
      std::vector<char> data(message);
      for (std::size_t i = 0; i < count; ++i) {
        if (::recv(relayed->destination.get(), data.data(), message, MSG_WAITALL) !=
            static_cast<ssize_t>(message)) {
          std::abort();
        }
        for (std::size_t sent = 0; sent < message;) {
          const ssize_t n =
              ::send(relayed->destination.get(), data.data() + sent, message - sent, MSG_NOSIGNAL);
          if (n <= 0) {
            std::abort();
          }
          sent += static_cast<std::size_t>(n);
        }
      }
    });
  }
  for (auto& peer : peers) {
    peer.join();
  }
  const std::chrono::duration<double> took = Wall::now() - begin;
  const double cpu = worker_cpu(worker) - cpu_before;
  const double gigabytes = static_cast<double>(message * count * 2) * streams * 1e-9;
  return {gigabytes / took.count(), cpu / gigabytes};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

template <class Run>
void row(const Options& options, const std::string& name, Run run) {
  if (!options.only.empty() && name.find(options.only) == std::string::npos) {
    return;
  }
  std::printf("| %-26s |", name.c_str());
  std::fflush(stdout);
  struct Column {
    RelayPath path;
    std::vector<double> rates;
    std::vector<double> cpus;
  };
  Column columns[] = {
      {RelayPath::copy, {}, {}}, {RelayPath::splice, {}, {}}, {RelayPath::adaptive, {}, {}}};
  // Rounds go round the columns, so that what else the machine does hits all of them.
  for (int i = 0; i < options.rounds; ++i) {
    for (Column& column : columns) {
      RelayPoolConfig config;
      config.tuning.path = column.path;
      config.tuning.octets_per_turn = options.turn << 10;
      config.pipe_octets = options.pipe << 10;
      config.copy_octets = options.buffer << 10;
      const Figures figures = run(config);
      column.rates.push_back(figures.rate);
      column.cpus.push_back(figures.cpu);
    }
  }
  for (const Column& column : columns) {
    std::printf(" %6.2f %7.3f |", median(column.rates), median(column.cpus));
  }
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    const bool has_value = i + 1 < argc;
    if (option == "--mebibytes" && has_value) {
      options.mebibytes = std::strtoul(argv[++i], nullptr, 10);
    } else if (option == "--rounds" && has_value) {
      options.rounds = static_cast<int>(std::strtol(argv[++i], nullptr, 10));
    } else if (option == "--pipe" && has_value) {
      options.pipe = std::strtoul(argv[++i], nullptr, 10);
    } else if (option == "--buffer" && has_value) {
      options.buffer = std::strtoul(argv[++i], nullptr, 10);
    } else if (option == "--turn" && has_value) {
      options.turn = std::strtoul(argv[++i], nullptr, 10);
    } else if (option == "--only" && has_value) {
      options.only = argv[++i];
    } else {
      std::puts(
          "usage: relay_bench [--mebibytes N] [--rounds N] [--pipe KIB] [--buffer KIB]\n"
          "                   [--turn KIB] [--only TEXT]\n"
          "Medians over the rounds, for copy, splice and adaptive: GB/s, and CPU seconds of the\n"
          "relaying thread per GB. --only runs the rows whose name contains TEXT.");
      return option == "--help" ? 0 : 2;
    }
  }
  if (options.rounds < 1 || options.mebibytes < 1) {
    return 2;
  }
  const std::size_t total = options.mebibytes << 20;
  std::puts("|                            |      copy      |     splice     |    adaptive    |");
  std::puts("|                            |   GB/s  s/GB   |   GB/s  s/GB   |   GB/s  s/GB   |");
  for (const int streams : {1, 4}) {
    const std::string suffix = streams == 1 ? ", 1 stream" : ", 4 streams";
    row(options, "bulk" + suffix,
        [&](const RelayPoolConfig& config) { return bulk(config, streams, 0, total); });
    row(options, "one way, 16 KiB" + suffix,
        [&](const RelayPoolConfig& config) { return bulk(config, streams, 16 << 10, total / 2); });
    row(options, "one way, 1 KiB" + suffix,
        [&](const RelayPoolConfig& config) { return bulk(config, streams, 1 << 10, total / 8); });
    for (const std::size_t kibibytes : {1UL, 16UL, 64UL, 256UL}) {
      const std::size_t message = kibibytes << 10;
      const std::size_t count =
          std::min<std::size_t>(total / 16 / message, 5000) / static_cast<std::size_t>(streams);
      row(options, "ping-pong " + std::to_string(kibibytes) + " KiB" + suffix,
          [&](const RelayPoolConfig& config) { return ping(config, streams, message, count); });
    }
  }
}
