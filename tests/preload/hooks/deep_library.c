/* A library that connects by itself, and one function of which has the name of one of libc's. */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* 0, or -1 with errno: reaches the host by name and hears its echo. */
int deep_echo(const char* host, const char* port);
int deep_echo(const char* host, const char* port) {
  const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
  struct addrinfo* found = NULL;
  if (getaddrinfo(host, port, &hints, &found) != 0) {
    return -1;
  }
  const int fd = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
  char answer[4] = {0};
  const int bad = connect(fd, found->ai_addr, found->ai_addrlen) != 0 ||
                  write(fd, "ping", 4) != 4 || read(fd, answer, 4) != 4 ||
                  memcmp(answer, "ping", 4) != 0;
  freeaddrinfo(found);
  close(fd);
  return bad ? -1 : 0;
}

/* Its own, and nobody else's business. */
int getdomainname(char* name, size_t size) {
  snprintf(name, size, "deep");
  return 0;
}

int accept4(int fd, struct sockaddr* restrict address, socklen_t* restrict length, int flags) {
  (void)fd, (void)address, (void)length, (void)flags;
  return 4711;
}
