// What the prototypes of docs/decisions/0009 share: threads on a core of their own, their CPU time,
// sockets on the loopback of a private network, and figures from rounds that alternate.
#pragma once

#include <functional>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <vector>

namespace tried {

constexpr int server_core = 0;
constexpr int load_core = 1;

/// Ends the process with what went wrong: a figure from a failed run is worth nothing.
[[noreturn]] void give_up(const char* what);
inline int check(int result, const char* what) {
  if (result < 0) {
    give_up(what);
  }
  return result;
}

/// A network namespace of our own, with its loopback up: no other traffic, sysctls that may be
/// set, and counters of our segments alone. False: not permitted; we stay where we are.
bool private_network();
bool set_sysctl(const std::string& name, const std::string& value);
/// Segments that TCP has sent in this network.
long segments_sent();

void pin(int core);
std::thread on_core(int core, std::function<void()> work);

double thread_cpu();  ///< seconds of the calling thread
double now();         ///< seconds

void set(int fd, int level, int option, int value);
/// 127.0.0.0/8: `host` counts through it, so that four-tuples in TIME_WAIT are not in the way.
sockaddr_in loopback(int port, unsigned host = 0);
int listen_on_loopback(int& port);  ///< non-blocking, at any address, any port
int connect_to(const sockaddr_in& address);
/// Two ends of a TCP connection over loopback, blocking, TCP_NODELAY.
struct Pair {
  int near;
  int far;
};
Pair tcp_pair();

struct Spread {
  double median = 0, low = 0, high = 0;  ///< low and high: the quartiles
};
Spread spread(std::vector<double> values);

struct Options {
  int rounds = 9;
  double seconds = 80;  ///< no further round of a table when it would take longer
  std::string only;     ///< rows whose name contains it
};

/// One line of a table: a way to do something, and what one round of it gave.
struct Row {
  std::string name;
  std::function<std::vector<double>()> run;
  std::vector<std::vector<double>> rounds = {};  ///< filled by measure()
};

/// Runs the rows in turn, `rounds` times, and prints for each column the median, with the quartiles
/// for the columns whose name ends in '*'. A first round is thrown away.
void measure(const Options& options, const std::string& title,
             const std::vector<std::string>& columns, std::vector<Row>& rows);

// The parts, each in a file of its own.
void connection_path(const Options& options);
void accept_sharing(const Options& options);
void bulk_options(const Options& options);
void uring(const Options& options);
void zero_copy(const Options& options);
void busy_polling(const Options& options);
void fast_open(const Options& options);

}  // namespace tried
