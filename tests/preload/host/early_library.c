/* A library whose constructor connects, possibly before any other constructor has run. It tells the
 * outcome to the probe connected_by_constructor in the environment. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

__attribute__((constructor(101))) static void connect_early(void) {
  char got[16] = {0};
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(2003)}; /* HELLO */
  inet_pton(AF_INET, "192.0.2.1", &address.sin_addr);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr*)&address, sizeof(address)) == 0 &&
      read(fd, got, sizeof(got) - 1) > 0) {
    setenv("PROBE_EARLY", got, 1);
  }
  close(fd);
}
