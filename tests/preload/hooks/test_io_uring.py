"""io_uring is refused as by a kernel without it, unless the configuration allows it."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from fake_case import FakeCase
from probe_case import MUSL, main

SANITIZED = os.environ.get("SOCKS64_TEST_SANITIZE", "") != ""

# Connects by a ring, as programs of liburing do, and says what became of it.
RING = r"""
#include <arpa/inet.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>
int main(void) {
  struct io_uring ring;
  const int made = io_uring_queue_init(8, &ring, 0);
  struct io_uring_params params;
  memset(&params, 0, sizeof params);
  printf("queue_init %d params %d probe %d\n", made, io_uring_queue_init_params(8, &ring, &params),
         io_uring_get_probe() != NULL);
  if (made != 0) return 0;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};
  inet_pton(AF_INET, "192.0.2.1", &to.sin_addr);
  struct io_uring_sqe* entry = io_uring_get_sqe(&ring);
  io_uring_prep_connect(entry, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), (struct sockaddr*)&to, sizeof to);
  io_uring_submit(&ring);
  return 0;
}
"""


def kernel_has_rings():
    state = pathlib.Path("/proc/sys/kernel/io_uring_disabled")
    return not state.exists() or state.read_text().strip() == "0"


class Rings(FakeCase):
    def test_raw_calls_are_refused(self):
        self.probe("io_uring_calls", "refused")
        self.probe("io_uring_calls", "refused", environment={"SOCKS64_IO_URING": "refuse"})
        self.probe("io_uring_calls", "refused", environment={"SOCKS64_IO_URING": "perhaps"})

    def test_raw_calls_that_are_allowed(self):
        plain = self.probe("io_uring_calls", "allowed", preload=False)
        self.assertEqual(self.probe("io_uring_calls", "allowed", environment={"SOCKS64_IO_URING": "allow"}), plain)

    @unittest.skipIf(MUSL or SANITIZED, "the library of Debian is linked with glibc, and without sanitizers")
    def test_a_program_of_liburing(self):
        if shutil.which("cc") is None or not pathlib.Path("/usr/include/liburing.h").exists():
            self.skipTest("NOTHING WAS TESTED: cc or the package liburing-dev is missing")
        with tempfile.TemporaryDirectory() as folder:
            program = f"{folder}/ring"
            subprocess.run(["cc", "-x", "c", "-", "-o", program, "-luring"], input=RING, text=True, check=True)
            refused = self.check(self.run_probe(program=program))
            self.assertEqual(refused, "queue_init -38 params -38 probe 0\n")
            self.assert_nothing_sent()
            if kernel_has_rings():
                allowed = self.check(self.run_probe(program=program, environment={"SOCKS64_IO_URING": "allow"}))
                self.assertEqual(allowed, self.check(self.run_probe(program=program, preload=False)))


if __name__ == "__main__":
    main()
