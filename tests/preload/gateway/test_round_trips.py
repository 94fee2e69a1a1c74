"""A connect costs the gateway's own round trips, and with `pipelining` one fewer; two where there is a password.

Counted, not timed. The gateway reads until nothing more comes, notes what it has, and only then answers all of it: each note is
a flight from the client, and each but the last had to wait for the answer to the one before.
"""

import os
import select
import socket
import tempfile
import threading

from probe_case import ProbeCase, main

QUIET = 0.1  # whoever has more to say has said it by then
PIPELINING = {"SOCKS64_PIPELINING": "on"}
METHOD = {None: b"\x05\x00", b"ann": b"\x05\x02"}


class PatientListener:
    """A SOCKS5 gateway, and the host behind it, which echoes. `flights` has a list for each connection, of what arrived
    together: the names of the messages, and in how many pieces they came."""

    def __init__(self, address, user=None):
        self.listener = socket.socket(socket.AF_UNIX if address.startswith("/") else socket.AF_INET)
        self.listener.bind(address if address.startswith("/") else (address, 0))
        self.listener.listen(16)
        self.user, self.flights = user, []
        at = address if address.startswith("/") else f"{address}:{self.listener.getsockname()[1]}"
        self.url = f"socks5{'+unix' if address.startswith('/') else ''}://{'ann:secret@' if user else ''}{at}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.flights.append([])
            threading.Thread(target=self._serve, args=(connection, self.flights[-1]), daemon=True).start()

    def _serve(self, connection, flights):
        expected = ["greeting", *(["password"] if self.user else []), "request"]
        answers = {"greeting": METHOD[self.user], "password": b"\x01\x00",
                   "request": b"\x05\x00\x00\x01" + socket.inet_aton("198.51.100.7") + b"\x10\x92"}
        with connection:
            while True:
                flight, pieces = connection.recv(4096), 1
                while flight and select.select([connection], [], [], QUIET)[0]:
                    more = connection.recv(4096)
                    if not more:
                        break
                    flight, pieces = flight + more, pieces + 1
                if not flight:
                    return
                names, answer = [], b""
                while flight:
                    name = expected.pop(0) if expected else "data"
                    size = self._size(name, flight)
                    names.append(name)
                    answer += answers.get(name, flight)
                    flight = flight[size:]
                flights.append((" + ".join(names), pieces))
                connection.sendall(answer)

    @staticmethod
    def _size(name, octets):
        """Of the first message in `octets`; of an address only the IPv4 form, which is what the probes dial."""
        if name == "greeting":
            assert octets[0] == 5, octets
            return 2 + octets[1]
        if name == "password":
            assert octets[0] == 1, octets
            return 3 + octets[1] + octets[2 + octets[1]]
        if name == "request":
            assert octets[:4] == b"\x05\x01\x00\x01", octets
            return 10
        return len(octets)


PROBES = (("blocking_echo", 2000), ("async_echo", "poll"), ("async_echo", "select"), ("async_echo", "epoll_wait"))


class RoundTrips(ProbeCase):
    def assert_flights(self, *expected, user=None, environment=None):
        """`expected`: the messages of each flight of the handshake; every flight is one piece."""
        folder = tempfile.TemporaryDirectory(prefix="socks64-round-trips-")
        self.addCleanup(folder.cleanup)
        for address in ("127.0.0.1", os.path.join(folder.name, "gateway")):
            gateway = PatientListener(address, user)
            self.addCleanup(gateway.listener.close)
            self.probe_all(PROBES, gateway=gateway.url, environment=environment)
            self.assertEqual(gateway.flights, [[(names, 1) for names in (*expected, "data")]] * len(PROBES), address)

    def test_two_for_the_handshake(self):
        self.assert_flights("greeting", "request")

    def test_three_with_a_password(self):
        self.assert_flights("greeting", "password", "request", user=b"ann")

    def test_one_with_pipelining(self):
        self.assert_flights("greeting + request", environment=PIPELINING)

    def test_one_with_pipelining_and_a_password(self):
        self.assert_flights("greeting + password + request", user=b"ann", environment=PIPELINING)


if __name__ == "__main__":
    main()
