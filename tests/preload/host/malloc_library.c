/* A malloc like those of tracers and checkers: around each call of libc's own it uses descriptors,
 * so that every hook may be entered from inside of malloc, at any time, before any constructor. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
void __libc_free(void* memory);

static void be_busy(void) {
  const int saved = errno;
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd >= 0) {
    int type;
    socklen_t length = sizeof(type);
    struct pollfd waited = {fd, POLLIN, 0};
    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length);
    poll(&waited, 1, 0);
    (void)!write(-1, "", 0);
    (void)!read(-1, &type, 0);
    close(dup(fd));
    fcntl(fd, F_GETFL);
    close(fd);
  }
  errno = saved;
}

void* malloc(size_t size) {
  be_busy();
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
  be_busy();
  return __libc_calloc(count, size);
}
void* realloc(void* memory, size_t size) {
  be_busy();
  return __libc_realloc(memory, size);
}
void free(void* memory) {
  be_busy();
  __libc_free(memory);
}
