"""BIND and UDP ASSOCIATE of RFC 1928, octet by octet: see test_protocol.py."""

import contextlib
import socket
import struct
import threading
import time
import unittest

import raw_socks as raw
import topology
from protocol_case import (CLIENTS, DESTINATIONS, FAMILIES, MEBIBYTE, Echo, ProtocolTest, digest, octets,
                           of_an_association)
from raw_socks import BIND, UDP_ASSOCIATE, address, name, request

UNSPECIFIED = {4: "0.0.0.0", 6: "::"}


def own_family(client):
    return 4 if topology.HOSTS[client].has4 else 6


class Bind(ProtocolTest):
    def bind(self, client, family, peer=None):
        """A connection that awaits `peer`, and where."""
        asked = request(address(peer or DESTINATIONS[family].address(family), 0), BIND)
        connection, reply, bound = self.ask(asked, client)
        self.assertEqual(reply, raw.SUCCEEDED)
        self.assertNotIn(bound[0], UNSPECIFIED.values())
        self.assertNotEqual(bound[1], 0)
        return connection, bound

    def dial(self, family, bound):
        peer = self.lab.hosts[DESTINATIONS[family].name].socket(FAMILIES[family], socket.SOCK_STREAM)
        self.addCleanup(peer.close)
        peer.settimeout(30)
        peer.connect(bound)
        return peer

    def test_every_peer_of_either_family(self):
        """Connects the moment that the first reply is there; the second says who it is; 1 MiB each way."""
        up, down = octets(MEBIBYTE, 21), octets(MEBIBYTE, 22)
        for client in CLIENTS:
            for family in (4, 6):
                with self.subTest(client=client, family=family):
                    connection, bound = self.bind(client, family)
                    peer = self.dial(family, bound)
                    reply, shown = raw.take_reply(connection)
                    self.assertEqual((reply, shown), (raw.SUCCEEDED, peer.getsockname()[:2]))
                    for sender, receiver, data in ((connection, peer, up), (peer, connection, down)):
                        thread = threading.Thread(target=lambda sender=sender, data=data: (
                            sender.sendall(data), sender.shutdown(socket.SHUT_WR)))
                        thread.start()
                        self.assertEqual(digest(raw.take_all(receiver)), digest(data))
                        thread.join()

    def test_fifty_instant_peers(self):
        for _ in range(50):
            connection, bound = self.bind("client4", 6)
            peer = self.dial(6, bound)
            self.assertEqual(raw.take_reply(connection)[0], raw.SUCCEEDED)
            peer.sendall(b"x")
            self.assertEqual(raw.take(connection, 1), b"x")
            connection.close()
            peer.close()

    def test_another_peer_is_not_let_in(self):
        connection, bound = self.bind("client4", 4)
        stranger = self.lab.hosts["dest46"].socket(socket.AF_INET, socket.SOCK_STREAM)
        self.addCleanup(stranger.close)
        stranger.settimeout(10)
        # It has no route to the gateway's address on another link until it is given one.
        self.run_on("dest46", ["ip", "route", "replace", f"{bound[0]}/32", "via", f"{topology.IPV4}1"])
        with contextlib.suppress(ConnectionError, socket.timeout):
            stranger.connect(bound)
            self.assertEqual(stranger.recv(1), b"")
        peer = self.dial(4, bound)
        self.assertEqual(raw.take_reply(connection), (raw.SUCCEEDED, peer.getsockname()[:2]))

    def test_the_end_of_the_client_frees_the_port(self):
        connection, bound = self.bind("client4", 4)
        connection.close()
        deadline = time.monotonic() + 20
        while True:
            with self.lab.hosts["dest4"].socket(socket.AF_INET, socket.SOCK_STREAM) as peer:
                peer.settimeout(10)
                if peer.connect_ex(bound) != 0:
                    return
            self.assertLess(time.monotonic(), deadline, "the port is still open")


class Association:
    def __init__(self, test, client, target=None):
        family = own_family(client)
        asked = request(target or address(UNSPECIFIED[family], 0), UDP_ASSOCIATE)
        self.control, reply, self.relay = test.ask(asked, client)
        test.assertEqual(reply, raw.SUCCEEDED)
        test.assertEqual(self.relay[0], topology.HOSTS[client].gateways[0])
        self.test = test
        self.socket = test.lab.hosts[client].socket(FAMILIES[family], socket.SOCK_DGRAM)
        test.addCleanup(self.socket.close)
        self.socket.bind((topology.HOSTS[client].address(family), 0))
        self.socket.settimeout(20)

    def send(self, target, data, fragment=0, reserved=0):
        self.socket.sendto(struct.pack("!HB", reserved, fragment) + target + data, self.relay)

    def take(self):
        """(source as ATYP, ADDR and PORT; data) of the next answer."""
        datagram, sender = self.socket.recvfrom(65536)
        self.test.assertEqual(sender[:2], self.relay)
        self.test.assertEqual(datagram[:3], b"\0\0\0")
        length = {raw.IPV4: 7, raw.IPV6: 19}[datagram[3]]
        return datagram[3:3 + length], datagram[3 + length:]

    def answers(self, seconds=0.3):
        """Whatever comes within a while."""
        self.socket.settimeout(seconds)
        try:
            while True:
                yield self.take()[1]
        except socket.timeout:
            self.socket.settimeout(20)


class Udp(ProtocolTest):
    def unwanted(self, leaks):
        return [line for line in leaks if not of_an_association(line)]

    def echo(self, family):
        made = Echo(self.lab, family)
        self.addCleanup(made.close)
        return made

    def test_both_families_and_names_in_one_association(self):
        for client in CLIENTS:
            for target in (None, address("::", 0), address("0.0.0.0", 0)):
                with self.subTest(client=client, target=target):
                    association = Association(self, client, target)
                    for family in (4, 6):
                        echo = self.echo(family)
                        source = address(echo.address, echo.port)
                        for to in (source, name(echo.name, echo.port), name(echo.address, echo.port), source):
                            association.send(to, b"hello")
                            self.assertEqual(association.take(), (source, b"hello"))
                        self.assertEqual(len(set(echo.senders)), 1, "one port for a family")

    def test_every_length(self):
        for client, family in (("client4", 4), ("client4", 6), ("client6", 4), ("client6", 6)):
            association = Association(self, client)
            echo = self.echo(family)
            to = address(echo.address, echo.port)
            # The longest that fits with its header into a datagram of IPv4.
            for length in (0, 1, 1200, 1500, 9000, 65507 - 3 - len(to)):
                with self.subTest(client=client, family=family, length=length):
                    data = octets(length, length)
                    association.send(to, data)
                    self.assertEqual(association.take(), (to, data))

    def test_what_is_malformed_is_dropped(self):
        association = Association(self, "client4")
        echo = self.echo(6)
        to = address(echo.address, echo.port)
        for fragment in (1, 0x7F, 0x80, 0xFF):
            association.send(to, b"fragment", fragment)
        for datagram in (b"", b"\0", b"\0\0\0", b"\0\0\0\x01", b"\0\0\0\x01\x7f\0\0", b"\0\0\0\x02\1\2\3\4\0\x50x", b"\0\0\0\x03\0\0\x50x",
                         b"\0\0\0\x03\xffshort", b"\0\0\0\x04" + bytes(10), b"\0\0\0\xff" * 10):
            association.socket.sendto(datagram, association.relay)
        association.send(name(topology.MISSING, 9), b"nobody")
        association.send(to, b"right")
        self.assertEqual(association.take(), (to, b"right"))
        self.assertEqual(len(echo.senders), 1)

    def test_another_address_of_the_client_gets_nothing_through(self):
        other = "192.0.2.77"
        self.run_on("client4", ["ip", "address", "add", f"{other}/24", "dev", "link0"])
        self.addCleanup(self.lab.leaks)
        self.addCleanup(self.run_on, "client4", ["ip", "address", "del", f"{other}/24", "dev", "link0"])
        for order in ("before", "after"):
            with self.subTest(order=order):
                association = Association(self, "client4")
                echo = self.echo(4)
                to = address(echo.address, echo.port)
                with self.lab.hosts["client4"].socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                    stranger.bind((other, 0))
                    if order == "before":
                        stranger.sendto(b"\0\0\0" + to + b"stolen", association.relay)
                    association.send(to, b"own")
                    self.assertEqual(association.take(), (to, b"own"))
                    stranger.sendto(b"\0\0\0" + to + b"stolen", association.relay)
                    association.send(to, b"own")
                    self.assertEqual(association.take(), (to, b"own"))
                    self.assertEqual(len(echo.senders), 2)
                self.lab.leaks()  # the stranger's

    def test_nothing_reaches_the_gateway_itself(self):
        """Protected destinations, datagram by datagram."""
        disguised = ("127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "::127.0.0.1", "0.0.0.0")
        for own, client, disguises in (("127.0.0.1", "client4", disguised), ("::1", "client6", ("::1", "::"))):
            with self.subTest(own=own), self.lab.hosts["gateway"].socket(FAMILIES[6 if ":" in own else 4], socket.SOCK_DGRAM) as inside:
                inside.bind((own, 0))
                inside.setblocking(False)
                port = inside.getsockname()[1]
                association = Association(self, client)
                echo = self.echo(6)
                for written in disguises:
                    association.send(address(written, port), b"in")
                    association.send(name(written, port), b"in")
                association.send(name("localhost", port), b"in")
                to = address(echo.address, echo.port)
                association.send(to, b"right")
                self.assertEqual(association.take(), (to, b"right"))
                with self.assertRaises(BlockingIOError):
                    inside.recv(100)

    def test_it_ends_with_its_connection(self):
        for leave in (socket.socket.close, raw.reset):
            with self.subTest(leave=leave):
                association = Association(self, "client4")
                echo = self.echo(4)
                to = address(echo.address, echo.port)
                association.send(to, b"alive")
                self.assertEqual(association.take(), (to, b"alive"))
                leave(association.control)
                deadline = time.monotonic() + 10
                while True:
                    with contextlib.suppress(ConnectionRefusedError):
                        association.send(to, b"still?")
                        if not list(association.answers()):
                            break
                    self.assertLess(time.monotonic(), deadline, "datagrams are still relayed")


if __name__ == "__main__":
    unittest.main()
