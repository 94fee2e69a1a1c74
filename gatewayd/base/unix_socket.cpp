#include "base/unix_socket.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>

namespace socks64::gateway {
namespace {

sockaddr_un address_of(const std::string& path) noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), std::begin(address.sun_path));
  return address;
}

Descriptor stream_socket() noexcept {
  return Descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

bool same_file(const struct stat& one, const struct stat& other) noexcept {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/// Makes room for a bind: what is in the way, or nothing.
std::string clear_path(const std::string& path) {
  struct stat before {};
  if (::lstat(path.c_str(), &before) != 0) {
    return {};  // nothing there, or nothing that bind(2) would not complain about
  }
  if (!S_ISSOCK(before.st_mode)) {
    return "a file that is not a socket has this path";
  }
  const Descriptor probe = stream_socket();
  if (!probe) {
    return std::strerror(errno);
  }
  const sockaddr_un address = address_of(path);
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno == EAGAIN) {  // EAGAIN: somebody listens, and is busy
    return "another process listens there";
  }
  if (errno != ECONNREFUSED) {
    return fmt::format("cannot find out whether the socket there is in use: {}",
                       std::strerror(errno));
  }
  struct stat now {};
  if (::lstat(path.c_str(), &now) == 0 && same_file(before, now) && ::unlink(path.c_str()) != 0 &&
      errno != ENOENT) {
    return fmt::format("cannot remove the unused socket there: {}", std::strerror(errno));
  }
  return {};
}

}  // namespace

std::string socket_path_problem(std::string_view path) {
  if (path.empty() || path.front() != '/') {
    return "the path is not absolute";
  }
  if (path.size() > longest_socket_path) {
    return fmt::format("the path has {} octets, but the path of a socket can have at most {}",
                       path.size(), longest_socket_path);
  }
  if (path.find('\0') != std::string_view::npos) {
    return "the path holds a NUL";
  }
  if (path.back() == '/') {
    return "the path ends with a slash";
  }
  return {};
}

SocketFile::SocketFile(std::string path) : path_(std::move(path)) {
  struct stat made {};
  if (::lstat(path_.c_str(), &made) == 0) {
    device_ = made.st_dev;
    inode_ = made.st_ino;
  } else {
    path_.clear();
  }
}

SocketFile& SocketFile::operator=(SocketFile&& other) noexcept {
  if (this != &other) {
    remove();
    path_ = std::exchange(other.path_, {});
    device_ = other.device_;
    inode_ = other.inode_;
  }
  return *this;
}

void SocketFile::remove() noexcept {
  struct stat now {};
  if (!path_.empty() && ::lstat(path_.c_str(), &now) == 0 && now.st_dev == device_ &&
      now.st_ino == inode_) {
    ::unlink(path_.c_str());
  }
  path_.clear();
}

UnixListeningSocket open_unix_listener(const std::string& path, mode_t mode, int backlog) {
  UnixListeningSocket result;
  result.error = clear_path(path);
  if (!result.error.empty()) {
    return result;
  }
  Descriptor socket = stream_socket();
  const sockaddr_un address = address_of(path);
  if (!socket ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    result.error = std::strerror(errno);
    return result;
  }
  SocketFile file(path);
  if (::chmod(path.c_str(), mode) != 0 || ::listen(socket.get(), backlog) != 0) {
    result.error = std::strerror(errno);
    return result;
  }
  result.file = std::move(file);
  result.socket = std::move(socket);
  return result;
}

Client unix_client(int socket) noexcept {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    peer = {0, static_cast<uid_t>(-1), static_cast<gid_t>(-1)};
  }
  return Client(Client::Process{peer.uid, peer.pid});
}

}  // namespace socks64::gateway
