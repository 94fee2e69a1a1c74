"""RFC 1928 against the running gateway, octet by octet, by a client that shares no code with it (raw_socks.py).

CONNECT and the refusals; BIND and UDP ASSOCIATE are in test_protocol_inbound.py, RFC 1929 and SOCKS4 in test_protocol_login.py.
"""

import socket
import threading
import unittest

import raw_socks as raw
import topology
from protocol_case import (CLIENTS, CLOSES_WITHIN, DEST4, DEST6, MEBIBYTE, REFUSING4, REFUSING6, ProtocolTest, digest,
                           octets)
from raw_socks import CHOSEN, CONNECT, GREETING, address, name, request


class Connect(ProtocolTest):
    def test_types_a_to_d_with_every_address_type(self):
        for client in CLIENTS:
            for host, target in (("dest4", name("v4only.test", 80)), ("dest4", address(DEST4, 80)),
                                 ("dest6", name("v6only.test", 80)), ("dest6", address(DEST6, 80))):
                with self.subTest(client=client, target=target):
                    self.assert_front_page(self.reach(request(target), client)[0], host)

    def test_names_as_people_write_them(self):
        for client in CLIENTS:
            for written, host in ((DEST4, "dest4"), (DEST6, "dest6"), (DEST6.upper(), "dest6"), ("V6ONLY.Test", "dest6"),
                                  ("v4only.test.", "dest4"), ("v6only.TEST.", "dest6")):
                with self.subTest(client=client, written=written):
                    self.assert_front_page(self.reach(request(name(written, 80)), client)[0], host)

    def test_bound_address_is_what_the_destination_sees(self):
        for client in CLIENTS:
            for family in (4, 6):
                with self.subTest(client=client, family=family):
                    destination = self.destination(family)
                    _, bound = self.reach(request(name(destination.name, destination.port)), client)
                    accepted, peer = destination.accept()
                    accepted.close()
                    self.assertEqual(bound, peer)

    def test_octet_by_octet(self):
        for client in CLIENTS:
            for target in (name("v6only.test", 80), address(DEST4, 80), address(DEST6, 80)):
                with self.subTest(client=client, target=target):
                    connection = self.connect(client)
                    for octet in GREETING:
                        connection.sendall(bytes([octet]))
                    self.assertEqual(raw.take(connection, 2), CHOSEN)
                    for octet in request(target):
                        connection.sendall(bytes([octet]))
                    self.assertEqual(raw.take_reply(connection)[0], raw.SUCCEEDED)
                    self.assert_front_page(connection, "dest4" if target == address(DEST4, 80) else "dest6")

    def test_reads_no_octet_past_the_request(self):
        """Greeting, request and a mebibyte that follows at once, in one go; and cut at every octet of the first two."""
        data = octets(MEBIBYTE, 1)
        for client, family in (("client4", 6), ("client6", 4)):
            destination = self.destination(family)
            wanted = GREETING + request(name(destination.name, destination.port))
            for cut in (None, *range(1, len(wanted) + 1)):
                sent = data if cut is None else data[:1000]
                with self.subTest(client=client, cut=cut):
                    destination.serve(raw.take_all)
                    connection = self.connect(client)
                    if cut is None:
                        connection.sendall(wanted + sent)
                    else:
                        connection.sendall(wanted[:cut])
                        connection.sendall(wanted[cut:] + sent)
                    connection.shutdown(socket.SHUT_WR)
                    self.assertEqual(raw.take(connection, 2), CHOSEN)
                    self.assertEqual(raw.take_reply(connection)[0], raw.SUCCEEDED)
                    self.assertEqual(digest(destination.outcome()), digest(sent))

    def test_says_no_success_before_the_destination_is_connected(self):
        connection = self.connect()
        connection.sendall(GREETING + request(name("dead6.test", 80)))
        self.assertEqual(raw.take(connection, 2), CHOSEN)
        self.assertIn(raw.take_reply(connection)[0], (raw.HOST_UNREACHABLE, raw.TTL_EXPIRED))


class HalfClose(ProtocolTest):
    def both_ways(self, client, family, client_first):
        """One side sends 8 MiB and its EOF; the other answers with 8 MiB after it has seen that EOF."""
        up, down = octets(8 * MEBIBYTE, 2), octets(8 * MEBIBYTE, 3)
        destination = self.destination(family)

        def first(connection, data):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return digest(raw.take_all(connection))

        def second(connection, data):
            seen = digest(raw.take_all(connection))
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return seen

        ours, theirs = (first, second) if client_first else (second, first)
        destination.serve(lambda connection: theirs(connection, down))
        connection, _ = self.reach(request(name(destination.name, destination.port)), client)
        self.assertEqual(ours(connection, up), digest(down))
        self.assertEqual(destination.outcome(), digest(up))

    def test_client_first(self):
        for client, family in (("client4", 6), ("client6", 4)):
            with self.subTest(client=client):
                self.both_ways(client, family, client_first=True)

    def test_destination_first(self):
        for client, family in (("client4", 6), ("client6", 4)):
            with self.subTest(client=client):
                self.both_ways(client, family, client_first=False)

    def test_both_at_once(self):
        """8 MiB in both directions at the same time."""
        up, down = octets(8 * MEBIBYTE, 4), octets(8 * MEBIBYTE, 5)
        destination = self.destination(6)

        def exchange(connection, data):
            sender = threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR)))
            sender.start()
            seen = digest(raw.take_all(connection))
            sender.join()
            return seen

        destination.serve(lambda connection: exchange(connection, down))
        connection, _ = self.reach(request(name(destination.name, destination.port)))
        self.assertEqual(exchange(connection, up), digest(down))
        self.assertEqual(destination.outcome(), digest(up))


class Resets(ProtocolTest):
    """A RST on one side is a RST on the other, not an EOF."""

    def test_of_the_destination(self):
        for client, family in (("client4", 6), ("client6", 4)):
            with self.subTest(client=client):
                destination = self.destination(family)
                connection, _ = self.reach(request(name(destination.name, destination.port)), client)
                accepted, _ = destination.accept()
                accepted.sendall(b"before")
                self.assertEqual(raw.take(connection, 6), b"before")
                raw.reset(accepted)
                with self.assertRaises(ConnectionResetError):
                    connection.recv(1)

    def test_of_the_client(self):
        for client, family in (("client4", 6), ("client6", 4)):
            with self.subTest(client=client):
                destination = self.destination(family)
                connection, _ = self.reach(request(name(destination.name, destination.port)), client)
                accepted, _ = destination.accept()
                with accepted:
                    connection.sendall(b"before")
                    self.assertEqual(raw.take(accepted, 6), b"before")
                    raw.reset(connection)
                    with self.assertRaises(ConnectionResetError):
                        accepted.recv(1)


class Refusals(ProtocolTest):
    """Failing replies. Each connection is closed within ten seconds of its reply."""

    def test_commands_that_do_not_exist(self):
        for command in (0x00, 0x04, 0x7F, 0xFF):
            for target in (name("v4only.test", 80), address(DEST6, 80)):
                with self.subTest(command=command):
                    self.assert_refused(request(target, command), raw.BAD_COMMAND)

    def test_address_types_that_do_not_exist(self):
        for kind in (0x00, 0x02, 0x05, 0xFF):
            with self.subTest(kind=kind):
                # What follows cannot be cut into address and port.
                self.assert_refused(bytes([5, CONNECT, 0, kind, 1, 2, 3, 4, 0, 80]), raw.BAD_ADDRESS_TYPE)

    def test_no_acceptable_method(self):
        for methods in (b"\x01", b"\x80\xfe", bytes(range(0x03, 0x80))):
            with self.subTest(methods=methods):
                connection = self.connect()
                connection.sendall(bytes([5, len(methods)]) + methods)
                self.assertEqual(raw.take(connection, 2), b"\x05\xff")
                self.assertLess(raw.seconds_to_close(connection), CLOSES_WITHIN)

    def test_the_method_is_found_among_255(self):
        connection = self.connect()
        connection.sendall(bytes([5, 255]) + bytes(range(254, -1, -1)))
        self.assertEqual(raw.take(connection, 2), CHOSEN)

    def test_other_versions_and_empty_offers_are_closed(self):
        # An offer of no method at all is malformed: NMETHODS counts from 1.
        for greeting in (b"\x05\x00", b"\x00\x01\x00", b"\x06\x01\x00", b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\xff" * 300):
            with self.subTest(greeting=greeting[:8]):
                connection = self.connect()
                connection.sendall(greeting)
                self.assertLess(raw.seconds_to_close(connection), CLOSES_WITHIN)
        connection = self.connect()
        connection.sendall(GREETING)
        self.assertEqual(raw.take(connection, 2), CHOSEN)
        connection.sendall(b"\x04" + request(name("v4only.test", 80))[1:])
        self.assertLess(raw.seconds_to_close(connection), CLOSES_WITHIN)

    def test_port_0(self):
        for target in (name("v4only.test", 0), address(DEST4, 0), address(DEST6, 0)):
            with self.subTest(target=target):
                self.assert_refused(request(target), raw.GENERAL, raw.REFUSED, raw.HOST_UNREACHABLE)

    def test_names_that_are_none(self):
        for written in (b"", b"\x00", b"v4only.test\x00", b"v4only\x00.test", b".", b"..", b"a..test", b"x" * 64 + b".test",
                        b"\xff\xfe", b"[2001:db8::1", b"-", b" "):
            with self.subTest(written=written):
                self.assert_refused(request(name(written, 80)), raw.GENERAL, raw.HOST_UNREACHABLE)

    def test_names_of_every_length(self):
        # 253 octets is the longest that DNS can hold.
        for length in (1, 63, 64, 127, 191, 252, 253, 254, 255):
            written = ".".join(["a" * 63] * 4)[:length - 5].rstrip(".") + ".test" if length > 5 else "a" * length
            written = written.rjust(length, "b")
            with self.subTest(length=length):
                self.assertEqual(len(written), length)
                self.assert_refused(request(name(written, 80)), raw.GENERAL, raw.HOST_UNREACHABLE)

    def test_destinations_that_refuse(self):
        for client in CLIENTS:
            for target in (address(REFUSING4, 80), address(REFUSING6, 80), name("allrefused.test", 80), name(REFUSING6, 80)):
                with self.subTest(client=client, target=target):
                    self.assert_refused(request(target), raw.REFUSED, client=client)

    def test_names_that_do_not_exist(self):
        for client in CLIENTS:
            for missing in (topology.MISSING, topology.NO_ADDRESS):
                with self.subTest(client=client, missing=missing):
                    self.assert_refused(request(name(missing, 80)), raw.HOST_UNREACHABLE, client=client)

    def test_networks_without_a_route(self):
        self.assert_refused(request(address("100.64.0.1", 80)), raw.NETWORK_UNREACHABLE)
        self.assert_refused(request(address("2001:db8:dead::1", 80)), raw.NETWORK_UNREACHABLE)

    def test_silent_destination(self):
        self.assert_refused(request(name("alldead.test", 80)), raw.HOST_UNREACHABLE, raw.TTL_EXPIRED)

    def test_silent_client(self):
        """Nothing, half a greeting, half a request: closed when the handshake's time is over, which is 4 s here."""
        waiting = []
        for sent in (b"", b"\x05", b"\x05\x02\x00", GREETING, GREETING + request(name("v4only.test", 80))[:-1]):
            connection = self.connect()
            connection.sendall(sent)
            waiting.append(connection)
        for connection in waiting:
            raw.seconds_to_close(connection, 20)


class Inside(ProtocolTest):
    """The way into the gateway itself, in its disguises, as addresses and as names; for CONNECT, BIND and both clients."""

    LOOPBACK = ("127.0.0.1", "127.1.2.3", "0.0.0.1", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
                "2001:0:0:0:0:0:80ff:fffe")
    LOCAL = ("169.254.169.254", "fd00:ec2::254", "fe80::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe")
    LISTENERS = ("192.0.2.1", "::ffff:192.0.2.1", "2001:db8:c6::1", "64:ff9b::c000:201")
    NAMES = ("localhost", "LocalHost.", "foo.localhost", "ip6-localhost", "[::1]", "::ffff:7f00:1")
    UNSPECIFIED = ("0.0.0.0", "::")  # to BIND these say "any peer"

    def test_connect_and_bind(self):
        for client in CLIENTS:
            for command, addresses in ((CONNECT, self.LOOPBACK + self.LOCAL + self.LISTENERS + self.UNSPECIFIED),
                                       (raw.BIND, self.LOOPBACK + self.LOCAL)):
                for target in addresses:
                    for form in (address, name):
                        with self.subTest(client=client, command=command, target=target, form=form.__name__):
                            self.assert_refused(request(form(target, topology.GATEWAY_PORT), command), raw.NOT_ALLOWED, client=client)

    def test_names(self):
        for target in self.NAMES:
            with self.subTest(target=target):
                self.assert_refused(request(name(target, topology.GATEWAY_PORT)), raw.NOT_ALLOWED)


class Bystanders(ProtocolTest):
    def test_a_client_that_goes_away_at_every_octet(self):
        """With an EOF and with a RST; the next client is served."""
        wanted = GREETING + request(name("v6only.test", 80))
        for cut in range(len(wanted) + 1):
            for leave in (socket.socket.close, raw.reset):
                connection = self.connect()
                connection.sendall(wanted[:cut])
                leave(connection)
        self.assert_front_page(self.reach(request(name("v6only.test", 80)))[0], "dest6")

    def test_an_end_of_stream_inside_the_handshake(self):
        """What follows the EOF is nothing: closed at once, not after the handshake's time."""
        for sent in (b"", b"\x05", GREETING, GREETING + b"\x05\x01"):
            with self.subTest(sent=sent):
                connection = self.connect()
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                self.assertLess(raw.seconds_to_close(connection), CLOSES_WITHIN)


if __name__ == "__main__":
    unittest.main()
