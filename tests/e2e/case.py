"""What the test modules share: one lab for all tests of the process, and a check after each test that nothing leaked."""

import os
import struct
import sys
import time
import unittest

import hosts
import lab as laboratory
import topology
from gateway import Gateway

SHARED = {}

PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable


def shared_lab():
    if "lab" not in SHARED:
        SHARED["lab"] = laboratory.Lab()
    return SHARED["lab"]


def crossing(client, family):
    return f"v{4 if topology.HOSTS[client].has4 else 6}>v{family}"


class LabTest(unittest.TestCase):
    """A test in the lab, without a gateway of its own accord."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.lab = shared_lab()
        cls.lab.leaks()

    def tearDown(self):
        self.assertEqual(self.unwanted(self.lab.leaks()), [], "packets went past the gateway")

    def unwanted(self, leaks):
        """Those of the capture's lines that speak against the test; all of them."""
        return leaks

    def run_on(self, host, argv, env=None, expect=0, **options):
        """Runs a program; its status must be the expected one. Bytes of standard output."""
        done = self.lab.run_on(host, argv, env, **options)
        self.assertEqual(done.returncode, expect, f"{argv} on {host} said:\n{done.stderr.decode(errors='replace')}\n"
                         f"{done.stdout[-2000:].decode(errors='replace')}")
        return done.stdout

    def socksified(self, client, argv, env=None, **options):
        return self.run_on(client, [self.lab.socksify, "-g", Gateway.url(client), *argv], env, **options)


class GatewayTest(LabTest):
    """A test with a gateway that is running when it begins."""

    configuration = ""  # lines of TOML in addition to the lab's own
    listener = ""       # lines for each [[listener]]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.before_gateway()
        cls.lab.gateway.start(cls.configuration, cls.listener)
        cls.addClassCleanup(cls.lab.gateway.end)

    @classmethod
    def before_gateway(cls):
        """Called inside the lab before the gateway starts."""

    def setUp(self):
        self.mark = self.lab.gateway.mark()

    def records(self, target, count=1, seconds=10):
        """The access records of sessions to a target ("name:port") since the test, or the last reset of self.mark, began.
        They are written when a session ends, so this waits until there are `count`."""
        deadline = time.monotonic() + seconds
        while True:
            every = self.lab.gateway.records(self.mark)
            found = [record for record in every if record.target == target]
            if len(found) >= count:
                return found
            if time.monotonic() > deadline:
                self.fail(f"{len(found)} access records for {target}, expected {count}; records since: {every}")
            time.sleep(0.02)

    def assert_crossed(self, client, name, port=80, count=1):
        """The gateway was asked for the name, not for an address, and crossed to the family that serves it."""
        found = self.records(f"{name}:{port}", count)
        allowed = {crossing(client, family) for family in topology.SERVED_BY[name].families}
        for record in found:
            self.assertEqual(record.asked, "name", record)
            self.assertIn(record.crossing, allowed, record)
        return found


# --- a SOCKS client of our own, for what the shim would hide ----------------------------------------------------------------

class Refused(Exception):
    """The gateway answered with a failure."""

    def __init__(self, reply):
        super().__init__(f"reply {reply}")
        self.reply = reply


def receive(connection, count):
    octets = b""
    while len(octets) < count:
        more = connection.recv(count - len(octets))
        if not more:
            raise EOFError(f"the gateway closed after {len(octets)} of {count} octets")
        octets += more
    return octets


def encode_target(target, port):
    """target: ("name", text), ("ipv4", packed) or ("ipv6", packed)."""
    kind, value = target
    address = {"name": lambda: b"\x03" + bytes([len(value)]) + value.encode(),
               "ipv4": lambda: b"\x01" + value,
               "ipv6": lambda: b"\x04" + value}[kind]()
    return b"\x05\x01\x00" + address + struct.pack("!H", port)


def socks_connect(lab, client, target, port=80, timeout=30):
    """A connection from a client through the gateway; Refused if it says so."""
    host = topology.HOSTS[client]
    family = hosts.socket.AF_INET if host.has4 else hosts.socket.AF_INET6
    connection = lab.hosts[client].socket(family, hosts.socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect((host.gateways[0], topology.GATEWAY_PORT))
        connection.sendall(b"\x05\x01\x00")
        if receive(connection, 2) != b"\x05\x00":
            raise Refused(0xFF)
        connection.sendall(encode_target(target, port))
        _, reply, _, kind = receive(connection, 4)
        receive(connection, {1: 4, 4: 16}[kind] + 2)
        if reply != 0:
            raise Refused(reply)
        return connection
    except BaseException:
        connection.close()
        raise


def http_get(connection, name, path="/"):
    """The body of one response, over a connection that ends with it."""
    connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {name}\r\n\r\n".encode())
    octets = b""
    while more := connection.recv(1 << 16):
        octets += more
    head, _, body = octets.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise AssertionError(f"{name}{path}: {head!r}")
    return body
