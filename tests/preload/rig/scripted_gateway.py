"""A SOCKS5 gateway whose behaviour is a script: the port that the client asks for says what the destination does.

It speaks RFC 1928 octet by octet on purpose, and remembers every request, so that a test can say what was asked and that
nothing else was.
"""

import ipaddress
import os
import shutil
import socket
import struct
import tempfile
import threading
import time

# The table of probe.h.
ECHO, SLOW, SOON, HELLO, SOON_HELLO, BULK, DRIP, NEVER = range(2000, 2008)
BND_NAME, BND_IPV6, REPLY_GARBAGE, REPLY_CUT, REPLY_RESET, REPLY_BAD_VERSION, BYE, SOON_CUT, LATE = range(2008, 2017)
REFUSE, SOON_REFUSE = 2100, 2400

AT = os.environ.get("SOCKS64_TEST_GATEWAY_AT", "ipv4")

DELAY = {SLOW: 1.0, SOON: 0.3, SOON_HELLO: 0.3, SOON_CUT: 0.3, LATE: 2.5}

BND_PORT = 4242
BND_V4 = b"\x01" + socket.inet_aton("198.51.100.7") + struct.pack("!H", BND_PORT)
BND_V6 = b"\x04" + socket.inet_pton(socket.AF_INET6, "2001:db8::7") + struct.pack("!H", BND_PORT)
BND_DOMAIN = b"\x03" + bytes([255]) + b"n" * 255 + struct.pack("!H", BND_PORT)

PATTERN = bytes(i * 7 % 251 for i in range(1 << 16))


class Request:
    """What a client asked for: `kind` is "ipv4", "ipv6" or "name"."""

    def __init__(self, kind, host, port, source_port, user):
        self.kind, self.host, self.port, self.source_port, self.user = kind, host, port, source_port, user

    def __repr__(self):
        return f"{self.kind} {self.host}:{self.port}"


class Closed(Exception):
    pass


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def usual_address():
    """Where gateways are unless told: the group of tests is run over each kind (connect.cmake)."""
    if AT == "unix":
        return tempfile.mkdtemp(prefix="socks64-gateway-") + "/socket"
    return {"ipv4": "127.0.0.1", "ipv6": "::1"}[AT]


class ScriptedGateway:
    """`address` is an IP address, or the path of a UNIX socket.

    `greeting`: "plain", "password", "garbage", "cut", "reset", "silent", "none" (no acceptable method), "drip", "patient" (it
    answers nothing before greeting, password if it offers one, and request are all there), "patient none" (then refuses),
    "mute" (closes instead of any reply).
    """

    def __init__(self, address=None, greeting="plain", credentials=(b"ann", b"secret"), backlog=1024):
        address = address or usual_address()
        self.local = address.startswith("/")
        family = socket.AF_UNIX if self.local else socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(address if self.local else (address, 0))
        self.listener.listen(backlog)
        self.address, self.port = (address, None) if self.local else self.listener.getsockname()[:2]
        self.greeting, self.credentials = greeting, credentials
        self.requests, self.accepted = [], 0
        self.answers = {}
        self.on_request = None  # called with a Request, before it is answered
        self._open, self._lock = set(), threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, credentials=""):
        if self.local:
            return f"socks5+unix://{credentials}{self.address}"
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"socks5://{credentials}{host}:{self.port}"

    def die(self):
        """As a killed process: the listener goes, every connection is reset."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # close() alone does not wake the thread in accept()
        except OSError:
            pass
        self.listener.close()
        if self.local and os.path.dirname(self.address).startswith(tempfile.gettempdir()):
            shutil.rmtree(os.path.dirname(self.address), ignore_errors=True)
        with self._lock:
            connections, self._open = self._open, set()
        for connection in connections:
            # A thread of ours may be inside recv() on it, and close() alone would then not end the connection; or it has just
            # closed it itself.
            try:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.shutdown(socket.SHUT_RD)
            except OSError:
                pass
            connection.close()

    def _accept(self):
        while True:
            try:
                connection, peer = self.listener.accept()
            except OSError:
                return
            with self._lock:
                self.accepted += 1
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection, None if self.local else peer[1]), daemon=True).start()

    def _serve(self, connection, source_port):
        try:
            if not self.local:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            user = self._greet(connection)
            request = self._read_request(connection, source_port, user)
            if connection in self.answers:
                connection.sendall(self.answers.pop(connection))
            with self._lock:
                self.requests.append(request)
            asked_at = time.monotonic()
            if self.greeting == "mute":
                raise Closed
            if self.on_request:
                self.on_request(request)
            self._play(connection, request.port, asked_at)
        except (Closed, OSError):
            pass
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    @staticmethod
    def _exactly(connection, size):
        data = b""
        while len(data) < size:
            more = connection.recv(size - len(data))
            if not more:
                raise Closed
            data += more
        return data

    def _greet(self, connection):
        version, count = self._exactly(connection, 2)
        methods = self._exactly(connection, count)
        assert version == 5, f"version {version} in the greeting"
        if self.greeting == "garbage":
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        elif self.greeting == "silent":
            connection.recv(1)
        elif self.greeting == "reset":
            reset(connection)
        elif self.greeting == "none":
            connection.sendall(b"\x05\xff")
        elif self.greeting == "password":
            return self._check_password(connection, methods)
        elif self.greeting.startswith("patient"):
            return self._wait_for_all(connection, methods)
        elif self.greeting == "drip":
            self._drip(connection, b"\x05\x00")
            return None
        elif self.greeting in ("plain", "mute"):
            connection.sendall(b"\x05\x00")
            return None
        raise Closed

    def _wait_for_all(self, connection, methods):
        """Everything a pipelining client sends comes before the first answer; another client waits for that answer."""
        user = password = None
        if 2 in methods:
            _, size = self._exactly(connection, 2)
            user = self._exactly(connection, size)
            password = self._exactly(connection, self._exactly(connection, 1)[0])
        if self.greeting == "patient none":
            connection.sendall(b"\x05\xff")
            raise Closed
        # Held back until the request has been read.
        self.answers[connection] = b"\x05\x00" if user is None else b"\x05\x02" + (
            b"\x01\x00" if (user, password) == self.credentials else b"\x01\x01")
        return None if user is None else user.decode()

    def _check_password(self, connection, methods):
        if 2 not in methods:
            connection.sendall(b"\x05\xff")
            raise Closed
        connection.sendall(b"\x05\x02")
        version, size = self._exactly(connection, 2)
        user = self._exactly(connection, size)
        password = self._exactly(connection, self._exactly(connection, 1)[0])
        assert version == 1, f"version {version} in RFC 1929"
        right = (user, password) == self.credentials
        connection.sendall(b"\x01\x00" if right else b"\x01\x01")
        if not right:
            raise Closed
        return user.decode()

    def _read_request(self, connection, source_port, user):
        version, command, reserved, kind = self._exactly(connection, 4)
        assert (version, command, reserved) == (5, 1, 0), f"request {version} {command} {reserved}"
        if kind == 1:
            name, host = "ipv4", str(ipaddress.ip_address(self._exactly(connection, 4)))
        elif kind == 4:
            name, host = "ipv6", str(ipaddress.ip_address(self._exactly(connection, 16)))
        else:
            name, host = "name", self._exactly(connection, self._exactly(connection, 1)[0]).decode()
        (port,) = struct.unpack("!H", self._exactly(connection, 2))
        return Request(name, host, port, source_port, user)

    @staticmethod
    def _drip(connection, data):
        for octet in data:
            connection.sendall(bytes([octet]))
            time.sleep(0.005)

    def _play(self, connection, port, asked_at):
        delay = 0.3 if port >= SOON_REFUSE else DELAY.get(port, 0)
        if delay:
            time.sleep(max(0, asked_at + delay - time.monotonic()))
        success = b"\x05\x00\x00" + BND_V4
        if port >= REFUSE:
            code = port - (SOON_REFUSE if port >= SOON_REFUSE else REFUSE)
            connection.sendall(bytes([5, code, 0]) + BND_V4)
        elif port == NEVER:
            connection.recv(1)
        elif port == REPLY_GARBAGE:
            connection.sendall(b"HTTP/1.1 500 Oops\r\n\r\n")
        elif port == REPLY_BAD_VERSION:
            connection.sendall(b"\x04\x00\x00" + BND_V4)
        elif port == REPLY_CUT:
            connection.sendall(success[:5])
        elif port == REPLY_RESET:
            connection.sendall(success[:5])
            reset(connection)
        elif port == BULK:
            connection.sendall(success + PATTERN)
        elif port == BYE:
            connection.sendall(success + b"BYE")
        elif port == DRIP:
            self._drip(connection, success)
            self._echo(connection)
        elif port != SOON_CUT:
            bnd = {BND_NAME: BND_DOMAIN, BND_IPV6: BND_V6}.get(port, BND_V4)
            hello = b"HELLO" if port in (HELLO, SOON_HELLO) else b""
            connection.sendall(b"\x05\x00\x00" + bnd + hello)
            self._echo(connection)

    @staticmethod
    def _echo(connection):
        while True:
            data = connection.recv(65536)
            if not data:
                return
            connection.sendall(data)
