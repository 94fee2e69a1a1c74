/* Programs that would have io_uring. */
#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rig/probe.h"

/* io_uring_calls refused|allowed */
PROBE(io_uring_calls) {
  const int refused = strcmp(argv[1], "refused") == 0;
  struct io_uring_params params = {0};
  errno = 0;
  const long ring = syscall(SYS_io_uring_setup, 4, &params);
  if (refused) {
    CHECK_EQ(ring, -1);
    CHECK_EQ(errno, ENOSYS);
    CHECK_FAILS(syscall(SYS_io_uring_enter, 0, 0, 0, 0, NULL), ENOSYS);
    CHECK_FAILS(syscall(SYS_io_uring_register, 0, 0, NULL, 0), ENOSYS);
  } else {
    printf("%s\n", ring >= 0 ? "ring" : strerrorname_np(errno));
  }
}
