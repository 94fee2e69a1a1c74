/* dial HOST PORT [udp|nonblocking]: connects as programs do, and says how that went. Knows nothing
 * of the library. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int finish(int fd) {
  int error = 0;
  socklen_t size = sizeof(error);
  struct pollfd waited = {fd, POLLOUT, 0};
  if (poll(&waited, 1, 30000) != 1) {
    return ETIMEDOUT;
  }
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

int main(int argc, char** argv) {
  const char* how = argc > 3 ? argv[3] : "";
  const int udp = strcmp(how, "udp") == 0;
  const int nonblocking = strcmp(how, "nonblocking") == 0;
  struct addrinfo hints;
  struct addrinfo* found = NULL;
  memset(&hints, 0, sizeof(hints));
  hints.ai_socktype = udp ? SOCK_DGRAM : SOCK_STREAM;
  if (argc < 3) {
    return 2;
  }
  const int problem = getaddrinfo(argv[1], argv[2], &hints, &found);
  if (problem != 0) {
    printf("no address: %s\n", gai_strerror(problem));
    return 1;
  }
  const int fd =
      socket(found->ai_family, found->ai_socktype | (nonblocking ? SOCK_NONBLOCK : 0), 0);
  int error = connect(fd, found->ai_addr, found->ai_addrlen) == 0 ? 0 : errno;
  freeaddrinfo(found);
  if (error == EINPROGRESS) {
    error = finish(fd);
  }
  if (error != 0) {
    printf("failed: %s\n", strerror(error));
    return 1;
  }
  if (!udp) {
    char answer[8] = "";
    if (write(fd, "ping", 4) != 4 ||
        (nonblocking && poll(&(struct pollfd){fd, POLLIN, 0}, 1, 30000) != 1) ||
        read(fd, answer, 4) != 4 || memcmp(answer, "ping", 4) != 0) {
      printf("no echo\n");
      return 1;
    }
  }
  close(fd);
  printf("reached\n");
  return 0;
}
