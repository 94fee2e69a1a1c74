"""The gateway seen from a client's socket: targets of every kind, half-broken names, replies, DNS isolation, drain."""

import ipaddress
import socket
import statistics
import threading
import time
import unittest

import topology
from case import GatewayTest, Refused, crossing, http_get, socks_connect
from services import LOGS

CLIENTS = ("client4", "client6")
ATTEMPT_DELAY = 0.250  # RFC 8305 section 5, the gateway's default


def literal(address):
    parsed = ipaddress.ip_address(address)
    return f"ipv{parsed.version}", parsed.packed


class Targets(GatewayTest):
    """Types A to D for every address type, and the forms in which a target can be written."""

    def reach(self, client, target, host, port=80):
        connection = socks_connect(self.lab, client, target, port)
        with connection:
            self.assertEqual(http_get(connection, "v4only.test"), self.lab.site.front_page(host).encode())

    def one_record(self):
        """The record of the one session since the last call."""
        deadline = time.monotonic() + 10
        while not (found := self.lab.gateway.records(self.mark)):
            self.assertLess(time.monotonic(), deadline, "no access record")
            time.sleep(0.01)
        self.mark = self.lab.gateway.mark()
        self.assertEqual(len(found), 1)
        return found[0]

    def test_address_types(self):
        for client in CLIENTS:
            for destination in topology.DESTINATIONS:
                for family in (4, 6):
                    address = destination.address(family)
                    if not address:
                        continue
                    with self.subTest(client=client, address=address):
                        self.reach(client, literal(address), destination.name)
                        record = self.one_record()
                        self.assertEqual(record.asked, f"ipv{family}")
                        self.assertEqual(record.crossing, crossing(client, family))

    def test_names_and_literals_as_names(self):
        for client in CLIENTS:
            for written, host, family in (("v4only.test", "dest4", 4), ("v6only.test", "dest6", 6), ("V6Only.TEST", "dest6", 6),
                                          ("v6only.test.", "dest6", 6), (topology.DEST6.address(6), "dest6", 6),
                                          (f"[{topology.DEST6.address(6)}]", "dest6", 6),
                                          (topology.DEST4.address(4), "dest4", 4)):
                with self.subTest(client=client, written=written):
                    self.reach(client, ("name", written), host)
                    self.assertEqual(self.one_record().crossing, crossing(client, family))


class HalfBroken(GatewayTest):
    """One of two addresses does not work, and each time is the first."""

    configuration = '[dial]\nfamily_memory = "0s"\n'

    def timed(self, name, client="client4"):
        begin = time.monotonic()
        connection = socks_connect(self.lab, client, ("name", name))
        taken = time.monotonic() - begin
        with connection:
            self.assertEqual(http_get(connection, name), b"This is dest46.\n")
        return taken

    def test_refusing_address_costs_next_to_nothing(self):
        normal = statistics.median(self.timed("both.test") for _ in range(9))
        for name in ("v6refuses.test", "v4refuses.test", "first4refuses.test", "first6refuses.test"):
            with self.subTest(name=name):
                extra = statistics.median(self.timed(name) for _ in range(9)) - normal
                print(f"{name}: {extra * 1000:.1f} ms more than both.test", flush=True)
                self.assertLess(extra, 0.050)

    def test_black_hole_costs_one_attempt_delay(self):
        for name in ("v6dead.test", "first4dead.test", "first6dead.test"):
            with self.subTest(name=name):
                self.mark = self.lab.gateway.mark()
                taken = [self.timed(name) for _ in range(5)]
                records = self.records(f"{name}:80", count=5)
                shown = [record.milliseconds("connect") for record in records]
                print(f"{name}: connected after {min(taken) * 1000:.0f} to {max(taken) * 1000:.0f} ms, by the record "
                      f"{min(shown):.0f} to {max(shown):.0f}", flush=True)
                # Never sooner than the delay; and not later than allowed, but for a moment without a processor.
                self.assertGreaterEqual(min(taken), ATTEMPT_DELAY - 0.005)
                self.assertGreaterEqual(min(shown), ATTEMPT_DELAY * 1000 - 5)
                self.assertLess(statistics.median(taken), 0.400)
                self.assertLess(statistics.median(shown), 400)
                self.assertEqual({record.attempts for record in records}, {"2"})

    def test_dead_second_address_costs_nothing(self):
        normal = statistics.median(self.timed("both.test") for _ in range(9))
        self.assertLess(statistics.median(self.timed("v4dead.test") for _ in range(9)) - normal, 0.050)

    def test_losing_attempt_is_closed(self):
        self.timed("v6dead.test")
        shown = self.run_on("gateway", ["ss", "-Htn", "state", "syn-sent"]).decode()
        self.assertEqual(shown, "")


class FamilyMemory(GatewayTest):
    """A family that is a black hole is waited for once."""

    def test_second_time(self):
        self.mark = self.lab.gateway.mark()
        for _ in range(3):
            with socks_connect(self.lab, "client4", ("name", "v6dead.test")) as connection:
                self.assertEqual(http_get(connection, "v6dead.test"), b"This is dest46.\n")
        records = self.records("v6dead.test:80", count=3)
        self.assertEqual([record.attempts for record in records], ["2", "1", "1"])
        self.assertGreaterEqual(records[0].milliseconds("connect"), ATTEMPT_DELAY * 1000 - 5)


class Replies(GatewayTest):
    """The reply to a destination that cannot be reached."""

    configuration = '[timeouts]\nconnect = "2s"\n'

    def reply(self, name, client="client4", port=80):
        with self.assertRaises(Refused) as refused:
            socks_connect(self.lab, client, ("name", name), port).close()
        return refused.exception.reply

    def test_replies(self):
        for client in CLIENTS:
            for name, expected in ((topology.MISSING, {4}), (topology.NO_ADDRESS, {4}), ("refused4.test", {5}),
                                   ("refused6.test", {5}), ("allrefused.test", {5})):
                with self.subTest(client=client, name=name):
                    self.assertIn(self.reply(name, client), expected)

    def test_all_dead_within_the_budget(self):
        for name in ("dead4.test", "dead6.test", "alldead.test"):
            with self.subTest(name=name):
                begin = time.monotonic()
                self.assertIn(self.reply(name), {4, 6})
                taken = time.monotonic() - begin
                self.assertGreater(taken, 1.9)
                self.assertLess(taken, 4)

    def test_closed_port(self):
        self.assertEqual(self.reply("both.test", port=81), 5)

    def test_dead_dns_server(self):
        begin = time.monotonic()
        self.assertIn(self.reply(topology.DEAD_ZONE), {4, 6})
        self.assertLess(time.monotonic() - begin, 4)

    def test_no_route(self):
        with self.assertRaises(Refused) as refused:
            socks_connect(self.lab, "client4", literal("192.0.3.1"))
        self.assertEqual(refused.exception.reply, 3)


class Dns(GatewayTest):
    """Names that nobody answers for do not delay those that need no answer."""

    def p99(self):
        """Of 300 connects, in turn to an address, to a cached name and to one of the gateway's hosts file."""
        targets = [literal(topology.DEST4.address(4)), ("name", "both.test"), ("name", topology.IN_HOSTS_FILE)]
        taken = []
        for number in range(300):
            begin = time.monotonic()
            socks_connect(self.lab, "client4", targets[number % 3]).close()
            taken.append(time.monotonic() - begin)
        return sorted(taken)[297]

    def test_isolation(self):
        self.p99()  # fills the cache
        undisturbed = min(self.p99() for _ in range(3))
        stuck = [threading.Thread(target=self.ask_the_dead, args=(number,)) for number in range(64)]
        for thread in stuck:
            thread.start()
        self.wait_for_queries(64)
        beside = [self.p99() for _ in range(5)]
        still_stuck = sum(thread.is_alive() for thread in stuck)
        print(f"p99 in ms: {undisturbed * 1000:.2f} alone; beside {still_stuck} stuck names "
              + ", ".join(f"{value * 1000:.2f}" for value in beside), flush=True)
        for thread in stuck:
            thread.join()
        self.assertEqual(still_stuck, 64)
        # The best of the rounds, and measured against a machine that may be busy with other things.
        self.assertLess(min(beside), max(0.005, 2 * undisturbed))

    def ask_the_dead(self, number):
        try:
            socks_connect(self.lab, "client6", ("name", f"n{number}.{self.dead_zone()}"), timeout=60).close()
        except (Refused, EOFError, OSError):
            pass

    def dead_zone(self):
        """One for each test: the log that queries() reads is that of all of them."""
        return f"{self.id().split('.', 1)[1].lower().replace('_', '-')}.{topology.DEAD_ZONE}"

    def queries(self, text):
        with open(f"{LOGS}/dnsmasq", encoding="utf-8") as file:
            return [line for line in file if "query[" in line and text in line]

    def wait_for_queries(self, names):
        deadline = time.monotonic() + 10
        while len({line.split()[-3] for line in self.queries(self.dead_zone())}) < names:
            self.assertLess(time.monotonic(), deadline, "the gateway did not ask for every name")
            time.sleep(0.01)

    def test_equal_names_share_one_query(self):
        name = f"{type(self).__name__.lower()}.{topology.SLOW_ZONE}"
        done = []

        def one():
            with socks_connect(self.lab, "client4", ("name", name)) as connection:
                done.append(http_get(connection, name))

        threads = [threading.Thread(target=one) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(done, [b"This is dest46.\n"] * 20)
        asked = [line.split("query[")[1].split("]")[0] for line in self.queries(name)]
        self.assertEqual(sorted(asked), ["A", "AAAA"])


class SystemNames(Dns):
    """The same, and all else that is asked of names, with getaddrinfo instead of c-ares."""

    configuration = '[timeouts]\ndrain = "200ms"\n[resolver]\nbackend = "system"\n'

    def wait_for_queries(self, names):
        # One thread a look-up: as many as there are, for two families of a name each.
        super().wait_for_queries(min(names, 8))

    def test_names(self):
        for client in CLIENTS:
            for name, host in (("v4only.test", "dest4"), ("v6only.test", "dest6"), ("both.test", "dest46")):
                with self.subTest(client=client, name=name):
                    with socks_connect(self.lab, client, ("name", name)) as connection:
                        self.assertEqual(http_get(connection, name), self.lab.site.front_page(host).encode())
            for name in (topology.MISSING, topology.NO_ADDRESS):
                with self.subTest(client=client, name=name):
                    with self.assertRaises(Refused) as refused:
                        socks_connect(self.lab, client, ("name", name)).close()
                    self.assertEqual(refused.exception.reply, 4)

    def test_escapes_are_no_other_spelling(self):
        """getaddrinfo reads \\108 as the letter l: a rule about v4only.test would not have seen it."""
        for name in ("v4on\\108y.test", "v4only.tes\\116", "v4\\only.test"):
            with self.subTest(name=name):
                with self.assertRaises(Refused) as refused:
                    socks_connect(self.lab, CLIENTS[0], ("name", name)).close()
                self.assertEqual(refused.exception.reply, 4)

    def test_ends_at_once_with_stuck_names(self):
        stuck = [threading.Thread(target=self.ask_the_dead, args=(number,)) for number in range(16)]
        for thread in stuck:
            thread.start()
        self.wait_for_queries(8)
        begin = time.monotonic()
        self.lab.gateway.terminate()
        self.assertEqual(self.lab.gateway.wait(), 0)
        self.assertLess(time.monotonic() - begin, 3)
        for thread in stuck:
            thread.join()
        self.lab.gateway.start(self.configuration)


class LifeCycle(GatewayTest):
    def test_drain(self):
        """SIGTERM: nobody new gets in, who is in finishes, then it ends with status 0."""
        connection = socks_connect(self.lab, "client4", ("name", "v6only.test"))
        self.addCleanup(connection.close)
        connection.sendall(b"GET /big HTTP/1.0\r\nHost: v6only.test\r\n\r\n")
        first = connection.recv(1000)
        self.lab.gateway.terminate()
        deadline = time.monotonic() + 10
        while True:
            try:
                with self.lab.hosts["client4"].socket(socket.AF_INET, socket.SOCK_STREAM) as late:
                    late.settimeout(5)
                    late.connect((topology.HOSTS["client4"].gateways[0], topology.GATEWAY_PORT))
                    late.sendall(b"\x05\x01\x00")
                    late.recv(2)
            except ConnectionRefusedError:
                break
            except OSError:
                pass
            self.assertLess(time.monotonic(), deadline, "still accepts while it drains")
        self.assertIsNone(self.lab.gateway.process.poll(), "did not wait for the relay")
        octets = first
        while more := connection.recv(1 << 16):
            octets += more
        self.assertGreater(len(octets), 8 << 20)
        connection.close()
        self.assertEqual(self.lab.gateway.wait(), 0)
        record = self.records("v6only.test:80")[0]
        self.assertEqual(record.crossing, "v4>v6")
        self.assertEqual(int(record.down), len(octets))
        self.lab.gateway.start()

    def test_ends_at_once_when_idle(self):
        begin = time.monotonic()
        self.lab.gateway.terminate()
        self.assertEqual(self.lab.gateway.wait(), 0)
        self.assertLess(time.monotonic() - begin, 2)
        self.lab.gateway.start()


if __name__ == "__main__":
    unittest.main()
