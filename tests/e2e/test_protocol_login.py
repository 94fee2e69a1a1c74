"""RFC 1929 and SOCKS4, octet by octet: see test_protocol.py."""

import struct
import unittest
from ipaddress import IPv4Address

import raw_socks as raw
import topology
from interop_gateway import DEMANDS_PASSWORD, PASSWORD, SOCKS4_LISTENER, USER, make_users_file
from protocol_case import CLIENTS, CLOSES_WITHIN, DEST4, MEBIBYTE, REFUSING4, ProtocolTest, digest, octets
from raw_socks import CHOSEN, GREETING, address, name, request

OFFER = b"\x05\x01\x02"


def login(user, password, version=1):
    user, password = (text if isinstance(text, bytes) else text.encode() for text in (user, password))
    return bytes([version, len(user)]) + user + bytes([len(password)]) + password


class Password(ProtocolTest):
    """A gateway that takes nobody without a password."""

    configuration = f"{ProtocolTest.configuration}{DEMANDS_PASSWORD}\n"

    @classmethod
    def before_gateway(cls):
        make_users_file()

    def offer(self, methods=OFFER, client="client4"):
        connection = self.connect(client)
        connection.sendall(methods)
        return connection, raw.take(connection, 2)

    def test_right(self):
        for client in CLIENTS:
            with self.subTest(client=client):
                connection, chosen = self.offer(client=client)
                self.assertEqual(chosen, b"\x05\x02")
                connection.sendall(login(USER, PASSWORD))
                self.assertEqual(raw.take(connection, 2), b"\x01\x00")
                connection.sendall(request(name("v6only.test", 80)))
                self.assertEqual(raw.take_reply(connection)[0], raw.SUCCEEDED)
                self.assert_front_page(connection, "dest6")

    def test_octet_by_octet(self):
        connection = self.connect()
        for octet in OFFER + login(USER, PASSWORD) + request(address(DEST4, 80)):
            connection.sendall(bytes([octet]))
        self.assertEqual(raw.take(connection, 4), b"\x05\x02\x01\x00")
        self.assertEqual(raw.take_reply(connection)[0], raw.SUCCEEDED)
        self.assert_front_page(connection, "dest4")

    def test_all_at_once_with_a_mebibyte_behind(self):
        data = octets(MEBIBYTE, 11)
        destination = self.destination(6)
        destination.serve(raw.take_all)
        connection = self.connect()
        connection.sendall(OFFER + login(USER, PASSWORD) + request(name(destination.name, destination.port)) + data)
        connection.shutdown(raw.socket.SHUT_WR)
        self.assertEqual(raw.take(connection, 4), b"\x05\x02\x01\x00")
        self.assertEqual(raw.take_reply(connection)[0], raw.SUCCEEDED)
        self.assertEqual(digest(destination.outcome()), digest(data))

    def test_wrong(self):
        """A status other than zero, and the connection is closed; a request behind it is not served."""
        for user, password in ((USER, "wrong"), (USER, ""), (USER, PASSWORD + "x"), (USER, PASSWORD[:-1]), ("nobody", PASSWORD),
                               (USER.upper(), PASSWORD), (b"\xff" * 255, b"\xff" * 255),
                               (USER.encode() + b"\x00", PASSWORD), (USER, PASSWORD.encode() + b"\x00")):
            with self.subTest(user=user, password=password):
                connection, chosen = self.offer()
                self.assertEqual(chosen, b"\x05\x02")
                connection.sendall(login(user, password) + request(name("v4only.test", 80)))
                version, status = raw.take(connection, 2)
                self.assertEqual(version, 1)
                self.assertNotEqual(status, 0)
                self.assertLess(raw.seconds_to_close(connection), CLOSES_WITHIN)

    def test_what_is_malformed_is_closed(self):
        """Other versions of the negotiation, and an empty name: ULEN counts from 1."""
        for sent in (login(USER, PASSWORD, 0), login(USER, PASSWORD, 2), login(USER, PASSWORD, 5), login("", ""), login("", PASSWORD)):
            with self.subTest(sent=sent):
                connection, _ = self.offer()
                connection.sendall(sent)
                connection.settimeout(15)
                said = raw.take_all(connection)
                self.assertNotEqual(said[1:2], b"\x00")

    def test_nobody_without(self):
        for methods in (b"\x05\x01\x00", b"\x05\x02\x00\x01", b"\x05\x01\x80"):
            with self.subTest(methods=methods):
                connection, chosen = self.offer(methods)
                self.assertEqual(chosen, b"\x05\xff")
                self.assertLess(raw.seconds_to_close(connection), CLOSES_WITHIN)

    def test_it_is_chosen_wherever_it_stands(self):
        for methods in (b"\x05\x02\x00\x02", b"\x05\x02\x02\x00", b"\x05\x03\x01\x00\x02"):
            with self.subTest(methods=methods):
                self.assertEqual(self.offer(methods)[1], b"\x05\x02")


def request4(target, port, command=1, user=b"lab"):
    """target: an IPv4 address, or octets for the name of SOCKS4a."""
    if isinstance(target, bytes):
        return struct.pack("!BBH4s", 4, command, port, b"\x00\x00\x00\x01") + user + b"\x00" + target + b"\x00"
    return struct.pack("!BBH4s", 4, command, port, IPv4Address(target).packed) + user + b"\x00"


class Socks4(ProtocolTest):
    """SOCKS4 and SOCKS4a, where a listener allows them; SOCKS5 beside them as ever."""

    listener = SOCKS4_LISTENER
    GRANTED, REJECTED = 90, 91

    def ask4(self, what, client="client4"):
        connection = self.connect(client)
        connection.sendall(what)
        zero, code, port, bound = struct.unpack("!BBH4s", raw.take(connection, 8))
        self.assertEqual(zero, 0)
        return connection, code, (str(IPv4Address(bound)), port)

    def test_connect(self):
        for client in CLIENTS:
            for target, host in ((DEST4, "dest4"), (b"v4only.test", "dest4"), (b"v6only.test", "dest6"),
                                 (topology.DEST6.address(6).encode(), "dest6")):
                for user in (b"", b"lab", b"u" * 255):
                    with self.subTest(client=client, target=target, user=len(user)):
                        connection, code, _ = self.ask4(request4(target, 80, user=user), client)
                        self.assertEqual(code, self.GRANTED)
                        self.assert_front_page(connection, host)

    def test_octet_by_octet_and_early_data(self):
        data = octets(MEBIBYTE, 12)
        destination = self.destination(6)
        for slowly in (True, False):
            destination.serve(raw.take_all)
            connection = self.connect()
            wanted = request4(destination.name.encode(), destination.port)
            for octet in wanted if slowly else b"":
                connection.sendall(bytes([octet]))
            connection.sendall(data if slowly else wanted + data)
            connection.shutdown(raw.socket.SHUT_WR)
            self.assertEqual(raw.take(connection, 8)[:2], b"\x00\x5a")
            self.assertEqual(digest(destination.outcome()), digest(data))

    def test_refusals(self):
        for what in (request4(REFUSING4, 80), request4(topology.MISSING.encode(), 80), request4(b"", 80), request4(b"x" * 255, 80),
                     request4(DEST4, 80, command=3), request4(DEST4, 80, command=0), request4(DEST4, 0)):
            with self.subTest(what=what[:30]):
                connection, code, _ = self.ask4(what)
                self.assertEqual(code, self.REJECTED)
                self.assertLess(raw.seconds_to_close(connection), CLOSES_WITHIN)

    def test_endless_strings_are_closed(self):
        for endless in (b"\x04\x01\x00\x50\xc6\x33\x64\x0a" + b"u" * 100_000, b"\x04\x01\x00\x50\x00\x00\x00\x01\x00" + b"n" * 100_000):
            connection = self.connect()
            try:
                connection.sendall(endless)
            except ConnectionError:
                pass
            self.assertLess(raw.seconds_to_close(connection), CLOSES_WITHIN)

    def test_version_5_is_served_beside_it(self):
        connection = self.connect()
        connection.sendall(GREETING)
        self.assertEqual(raw.take(connection, 2), CHOSEN)
        connection.sendall(request(name("v6only.test", 80)))
        self.assertEqual(raw.take_reply(connection)[0], raw.SUCCEEDED)
        self.assert_front_page(connection, "dest6")


class NoSocks4(ProtocolTest):
    """A listener that was not told to speak it."""

    def test_is_closed(self):
        connection = self.connect()
        connection.sendall(request4(DEST4, 80))
        connection.settimeout(15)
        try:
            self.assertNotEqual(raw.take_all(connection)[:2], b"\x00\x5a")
        except ConnectionResetError:
            pass


if __name__ == "__main__":
    unittest.main()
