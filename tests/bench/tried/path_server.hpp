// A SOCKS server of one epoll loop, as small as it can be and still make every system call of a
// real one, with each habit to be measured behind a switch. It trusts its clients: no timeouts, no
// partial messages, CONNECT to IPv4 alone.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <vector>

namespace tried {

struct Ways {
  // Accepting.
  bool defer_accept = false;      ///< TCP_DEFER_ACCEPT on the listener
  bool accept_to_the_end = true;  ///< until EAGAIN, else once an event
  bool options_each = false;     ///< NODELAY and keep-alive on each accepted socket, else inherited
  bool read_at_once = false;     ///< recv() after accept() and after a reply, before waiting
  bool client_add_late = false;  ///< client joins the epoll set when a read found nothing
  // Dialling.
  enum class Connected { wait, poll, again } connected = Connected::wait;
  bool dest_add_first = false;  ///< ADD, connect, MOD for EPOLLOUT; else connect, ADD for all
  bool ask_error = true;        ///< getsockopt(SO_ERROR) on EPOLLOUT, even without EPOLLERR
  bool poll_error = false;      ///< ... and poll() before
  bool ask_name = true;         ///< getsockname() for BND
  bool no_delay = true;         ///< TCP_NODELAY towards the destination
  bool keep_alive = false;      ///< its four options
  bool recycle = false;         ///< connect(AF_UNSPEC) instead of close() and socket()
  // Between.
  int quick_ack = -1;            ///< TCP_QUICKACK of both sockets: -1 as they are, 0, 1
  bool quick_listener = false;   ///< TCP_QUICKACK 0 on the listener, and nothing else
  int fionbio = 0;               ///< needless ioctl(FIONBIO) a connection
  bool oob_inline = false;       ///< SO_OOBINLINE on both sockets
  bool rearm = false;            ///< EPOLL_CTL_MOD each time something is waited for
  bool poll_between = false;     ///< epoll_wait(0) after each batch of events
  bool read_to_the_end = false;  ///< recv() until EAGAIN, else until a short read
  // Ending.
  enum class End { close, shutdown_first, reset, abort } end = End::close;
  bool delete_first = false;  ///< EPOLL_CTL_DEL before close()
};

class PathServer {
 public:
  /// Listens by itself.
  explicit PathServer(const Ways& ways);
  /// Listens at `listener`, which may be others' too; -1: is only given connections.
  PathServer(const Ways& ways, int listener, unsigned flags);
  ~PathServer();
  PathServer(const PathServer&) = delete;
  PathServer& operator=(const PathServer&) = delete;

  [[nodiscard]] int port() const noexcept { return port_; }
  /// Serves until stop().
  void serve();
  void stop();
  /// Takes a connection over from another thread.
  void give(int fd);
  /// Called as a session ends.
  std::function<void()> at_end;
  [[nodiscard]] int ended() const noexcept { return ended_; }
  [[nodiscard]] long calls() const noexcept { return calls_; }
  [[nodiscard]] long waits() const noexcept { return waits_; }
  [[nodiscard]] double cpu() const noexcept { return cpu_; }

 private:
  enum class Stage { greeting, request, connecting, relaying };
  struct Session;
  struct Side {
    Session* session = nullptr;
    int fd = -1;
    bool watched = false;
    bool ended = false;
  };
  struct Session {
    Side client, destination;
    Stage stage = Stage::greeting;
    bool over = false;
  };

  /// Counts a system call.
  template <class T>
  T did(T result) noexcept {
    ++calls_;
    return result;
  }
  void option(int fd, int level, int name, int value) noexcept;
  void control(int how, Side& side, unsigned events) noexcept;
  void watch(Side& side, unsigned events) noexcept;
  void accept_some();
  void begin(int fd);
  void called();
  void woken(Side& side, unsigned events);
  void read_client(Session& session);
  bool step(Session& session);
  void dial(Session& session, const unsigned char* request);
  void connected(Session& session);
  void relay(Side& from, Side& to);
  void end(Session& session);

  Ways ways_;
  int port_ = 0;
  int listener_ = -1;  ///< our own
  int epoll_;
  long calls_ = 0;
  long waits_ = 0;
  double cpu_ = 0;
  int ended_ = 0;
  bool stopping_ = false;
  Side accepting_;
  Side bell_;  ///< an eventfd: others' connections, or the end
  std::mutex mutex_;
  std::vector<int> given_;
  bool told_ = false;
  std::vector<std::unique_ptr<Session>> over_;
  std::vector<int> spare_;
};

}  // namespace tried
