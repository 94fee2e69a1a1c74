"""Runs probes under libsocks64.so, in a network of their own.

The namespace has lo, and default routes of both families into a wire without a far end: whatever a probe sends that it
should not have sent goes out there, reaches nobody, and is seen by the sniffer. A connect that bypasses the gateway hangs.
"""

import concurrent.futures
import ctypes
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

from scripted_gateway import ScriptedGateway

SKIPPED = 77  # ctest's SKIP_RETURN_CODE
PROBE = os.environ.get("SOCKS64_TEST_PROBE", "")
PRELOAD = os.environ.get("SOCKS64_TEST_PRELOAD", "")
MUSL = os.environ.get("SOCKS64_TEST_LIBC") == "musl"  # the probe's libc; helpers such as sh and true have the machine's
EMPTY_CONFIG = tempfile.NamedTemporaryFile(prefix="socks64-probe-")

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
ETH_P_ALL, ETH_P_IP, ETH_P_IPV6 = 0x0003, 0x0800, 0x86DD

# How a program may spell its destination, with the environment that makes a probe do so.
IPV4 = {}
IPV6 = {"PROBE_TARGET": "2001:db8::1"}
IPV6_ONLY = {"PROBE_TARGET": "2001:db8::1", "PROBE_V6ONLY": "1"}
MAPPED = {"PROBE_TARGET": "::ffff:192.0.2.1"}
FORMS = {"IPv4": IPV4, "IPv6": IPV6, "IPv6 only": IPV6_ONLY, "mapped": MAPPED}


def skip(why):
    print(f"SKIPPED, NOTHING WAS TESTED: {why}", file=sys.stderr)
    sys.exit(SKIPPED)


NETWORK = """
link set lo up
link add out0 type veth peer name out1
link set out0 arp off up
link set out1 arp off up
address add 10.64.64.1/32 dev out0
address add fd64::1/128 dev out0 nodad
route add default dev out0
-6 route add default dev out0
"""


def enter_network():
    """A fresh network namespace, in a user namespace if need be. Its default routes lead into a wire without a far end."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWNET) != 0:
        if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
            skip("neither root nor unprivileged user namespaces: no network namespace can be made")
        for name, line in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(line)
    ip = shutil.which("ip", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if ip is None:
        skip("no ip command: the package iproute2 is missing")
    for line in NETWORK.strip().splitlines():
        done = subprocess.run([ip, *line.split()], stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            skip(f"no network of its own can be made: ip {line}: {done.stderr.strip()}")


class Sniffer:
    """Every address that a packet is sent to, on any interface."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))

    def close(self):
        self.socket.close()

    def destinations(self):
        seen = set()
        self.socket.setblocking(False)
        while True:
            try:
                packet, (_, protocol, *_) = self.socket.recvfrom(65536)
            except BlockingIOError:
                return seen
            if protocol == ETH_P_IP:
                seen.add(str(ipaddress.ip_address(packet[16:20])))
            elif protocol == ETH_P_IPV6:
                seen.add(str(ipaddress.ip_address(packet[24:40])))


class Outcome:
    def __init__(self, arguments, returncode, stdout, stderr):
        self.arguments, self.returncode, self.stdout, self.stderr = arguments, returncode, stdout, stderr


class ProbeCase(unittest.TestCase):
    """One gateway and one sniffer per test; a probe that hangs is killed and fails."""

    greeting = "plain"
    timeout = 60

    def setUp(self):
        self.gateway = ScriptedGateway(greeting=self.greeting)
        self.addCleanup(self.gateway.die)
        self.sniffer = Sniffer()
        self.addCleanup(self.sniffer.close)

    def run_probe(self, *arguments, preload=True, gateway=None, environment=None, program=None):
        variables = {key: value for key, value in os.environ.items() if not key.startswith("SOCKS64_")}
        variables["SOCKS64_GATEWAY"] = gateway or self.gateway.url()
        variables["SOCKS64_CONFIG"] = EMPTY_CONFIG.name  # this host's own must not count
        if preload:
            variables["LD_PRELOAD"] = PRELOAD
        variables.update(environment or {})
        arguments = [str(each) for each in arguments]
        process = subprocess.Popen([program or PROBE, *arguments], env=variables, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, start_new_session=True)
        try:
            stdout, stderr = process.communicate(timeout=self.timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
            stderr += f"\nstill running after {self.timeout} s"
        return Outcome(arguments, process.returncode, stdout, stderr)

    def check(self, outcome):
        self.assertEqual(outcome.returncode, 0,
                         f"\nprobe {' '.join(outcome.arguments)}\n{outcome.stdout}{outcome.stderr}")
        return outcome.stdout

    def probe(self, *arguments, **options):
        """Runs one probe to success, and returns what it printed."""
        return self.check(self.run_probe(*arguments, **options))

    def probe_all(self, cases, parallel=8, **options):
        """Runs probes side by side; each is a sub-test."""
        with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
            outcomes = list(pool.map(lambda case: self.run_probe(*case, **options), cases))
        for case, outcome in zip(cases, outcomes):
            with self.subTest(" ".join(str(each) for each in case)):
                self.check(outcome)

    def probe_in_all_forms(self, *arguments):
        for form, environment in FORMS.items():
            with self.subTest(form=form):
                self.probe(*arguments, environment=environment)

    def assert_asked(self, *expected):
        """The gateway got exactly these requests, in any order."""
        self.assertEqual(sorted(map(repr, self.gateway.requests)), sorted(expected))

    def assert_same_without(self, *arguments, **options):
        """The probe prints the same with and without the library."""
        plain = self.probe(*arguments, preload=False, **options)
        preloaded = self.probe(*arguments, **options)
        self.assertNotEqual(plain, "")
        self.assertEqual(plain, preloaded)

    def tearDown(self):
        """Whatever else a test is about: the gateway never hears of a fake address."""
        for request in self.gateway.requests:
            self.assertFalse(request.kind == "ipv4" and request.host.startswith("0."), request)


def main(enter=enter_network):
    if not PROBE or not PRELOAD:
        sys.exit("SOCKS64_TEST_PROBE and SOCKS64_TEST_PRELOAD are set by ctest; see preload.cmake")
    enter()
    threading.stack_size(256 * 1024)  # the gateway has a thread per connection
    unittest.main(verbosity=2)
