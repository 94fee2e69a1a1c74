"""What the tests of the protocol share: a raw client (raw_socks.py) on a host of the lab, and destinations that are sockets of
this process on other hosts, so what arrives there is seen too.
"""

import contextlib
import hashlib
import random
import socket
import threading

import raw_socks as raw
import topology
from case import GatewayTest
from raw_socks import CHOSEN, GREETING

CLIENTS = ("client4", "client6")
DEST4, DEST6 = topology.DEST4.address(4), topology.DEST6.address(6)
REFUSING4, REFUSING6 = f"{topology.IPV4}{topology.REFUSING}", f"{topology.IPV6}{topology.REFUSING}"
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
DESTINATIONS = {4: topology.DEST4, 6: topology.DEST6}
MEBIBYTE = 1 << 20
CLOSES_WITHIN = 10  # seconds after a failing reply; RFC 1928 section 6


def octets(count, seed):
    return random.Random(seed).randbytes(count)


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Destination:
    """A listening socket on a destination; serve() handles its one connection in a thread."""

    def __init__(self, lab, family):
        host = topology.DEST4 if family == 4 else topology.DEST6
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        self.address = host.address(family)
        self.listener = lab.hosts[host.name].socket(kind, socket.SOCK_STREAM)
        self.listener.settimeout(60)
        self.listener.bind((self.address, 0))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        self.name = "v4only.test" if family == 4 else "v6only.test"
        self.thread = self.result = None

    def accept(self):
        connection, peer = self.listener.accept()
        connection.settimeout(60)
        return connection, peer[:2]

    def serve(self, handler):
        def run():
            connection, _ = self.accept()
            with connection:
                try:
                    self.result = handler(connection)
                except OSError as failure:
                    self.result = failure
        self.thread = threading.Thread(target=run)
        self.thread.start()

    def outcome(self):
        self.thread.join(60)
        return self.result

    def close(self):
        self.listener.close()
        if self.thread:
            self.thread.join(60)


class Echo:
    """A UDP service on a destination: what arrives goes back; who sent it is kept."""

    def __init__(self, lab, family):
        host = DESTINATIONS[family]
        self.socket = lab.hosts[host.name].socket(FAMILIES[family], socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind((host.address(family), 0))
        self.address, self.port = self.socket.getsockname()[:2]
        self.name = "v4only.test" if family == 4 else "v6only.test"
        self.senders, self.ending = [], False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                data, sender = self.socket.recvfrom(65536)
            except OSError:
                return
            if self.ending:
                return
            self.senders.append(sender[:2])
            with contextlib.suppress(OSError):
                self.socket.sendto(data, sender)

    def close(self):
        self.ending = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self.thread.join(5)
        self.socket.close()


def of_an_association(line):
    """Whether a line of the capture is of datagrams between a client and its gateway, or of too many of their fragments."""
    return "more than the capture could hold" in line or any(
        f" {host.gateways[0]} " in f"{line} " and any(f" {own.split('/')[0]} " in f"{line} " for own in host.own_side)
        for host in topology.CLIENTS)


class ProtocolTest(GatewayTest):
    configuration = '[timeouts]\nhandshake = "4s"\nconnect = "3s"\n'

    def connect(self, client="client4"):
        host = topology.HOSTS[client]
        connection = self.lab.hosts[client].socket(socket.AF_INET if host.has4 else socket.AF_INET6, socket.SOCK_STREAM)
        self.addCleanup(connection.close)
        connection.settimeout(30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.connect((host.gateways[0], topology.GATEWAY_PORT))
        return connection

    def destination(self, family):
        made = Destination(self.lab, family)
        self.addCleanup(made.close)
        return made

    def ask(self, what, client="client4"):
        """The greeting, the request `what`; the connection, REP and BND."""
        connection = self.connect(client)
        connection.sendall(GREETING)
        self.assertEqual(raw.take(connection, 2), CHOSEN)
        connection.sendall(what)
        return connection, *raw.take_reply(connection)

    def reach(self, what, client="client4"):
        connection, reply, bound = self.ask(what, client)
        self.assertEqual(reply, raw.SUCCEEDED)
        return connection, bound

    def assert_front_page(self, connection, host):
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(raw.take_all(connection).partition(b"\r\n\r\n")[2], self.lab.site.front_page(host).encode())

    def assert_refused(self, what, *replies, client="client4"):
        connection, reply, _ = self.ask(what, client)
        self.assertIn(reply, replies)
        self.assertLess(raw.seconds_to_close(connection), CLOSES_WITHIN)
