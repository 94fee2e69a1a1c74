"""Probes that speak DNS, in a network of their own and with a resolv.conf of their own."""

import ctypes
import os
import subprocess
import sys
import tempfile

from fake_case import CHATTER, LOCAL
import probe_case
from probe_case import ProbeCase, enter_network, skip

CLONE_NEWNS = 0x20000
RESOLV_CONF = tempfile.NamedTemporaryFile("w", prefix="socks64-resolv-")
RESOLVERS = {"192.0.2.1", "192.0.2.2", "198.51.100.3", "2001:db8::1", "2001:db8::2", "2001:db8::3"}


class DnsCase(ProbeCase):
    def write_resolv_conf(self, text):
        RESOLV_CONF.truncate(0)
        RESOLV_CONF.seek(0)
        RESOLV_CONF.write(text)
        RESOLV_CONF.flush()

    def setUp(self):
        super().setUp()
        self.write_resolv_conf("nameserver 192.0.2.1\nnameserver 127.0.0.53\n; nameserver 127.0.0.54\n")

    def sent(self):
        return {each for each in self.sniffer.destinations() if not each.startswith(CHATTER)}

    def assert_nothing_sent(self):
        """Neither a query nor a connection left the process."""
        self.assertEqual(self.sent() - LOCAL, set())
        self.assertEqual(self.gateway.accepted, 0)


def main():
    if not probe_case.PROBE or not probe_case.PRELOAD:
        sys.exit("SOCKS64_TEST_PROBE and SOCKS64_TEST_PRELOAD are set by ctest; see preload.cmake")
    enter_network()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        skip("no mount namespace can be made")
    target = os.path.realpath("/etc/resolv.conf")
    if not os.path.exists(target):
        skip(f"{target} does not exist, so that nothing can be mounted over it")
    for command in (["mount", "--make-rprivate", "/"], ["mount", "--bind", RESOLV_CONF.name, target]):
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            skip(f"{' '.join(command)}: {done.stderr.strip()}")
    probe_case.unittest.main(verbosity=2)
