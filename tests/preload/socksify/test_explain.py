"""--explain: one line for each connect, of every decision."""

import os
import re
import socket
import threading
import unittest

from socksify_case import SocksifyCase, main
import scripted_gateway
from scripted_gateway import ScriptedGateway

DIAL = os.environ.get("SOCKS64_TEST_DIAL", "")
LINE = r"^socks64\[\d+\]: "
TIME = r"\d+\.\d ms$"


class Explain(SocksifyCase):
    def setUp(self):
        super().setUp()
        self.gateway = ScriptedGateway()
        self.addCleanup(self.gateway.die)
        self.name = re.escape(f"127.0.0.1:{self.gateway.port}")

    def dial(self, *arguments, options=("--explain",), **environment):
        """What the program printed, and the one line that was told of it."""
        status, out, err = self.socksify("-g", self.gateway.url(), *options, DIAL, *arguments, **environment)
        return out.strip(), err.splitlines()

    def assert_line(self, expected, *arguments, says="reached", **options):
        out, lines = self.dial(*arguments, **options)
        self.assertEqual(len(lines), 1, lines)
        self.assertRegex(lines[0], LINE + expected)
        self.assertIn(says, out)

    def test_a_name(self):
        for how in ((), ("nonblocking",)):
            self.assert_line(rf"v6only\.test:2000: through the gateway {self.name}, the gateway looks the name up: connected, {TIME}",
                             "v6only.test", scripted_gateway.ECHO, *how)

    def test_an_address(self):
        self.assert_line(rf"192\.0\.2\.9:2000: through the gateway {self.name}, an address of another host: connected, {TIME}",
                         "192.0.2.9", scripted_gateway.ECHO)
        self.assert_line(r"\[2001:db8::9\]:2000: through the gateway .* connected, ", "2001:db8::9", scripted_gateway.ECHO)

    def test_the_time_it_took(self):
        _, lines = self.dial("slow.test", scripted_gateway.SLOW)
        self.assertGreaterEqual(float(lines[0].split(", ")[-1].split()[0]), 900)

    def test_the_gateways_answer(self):
        for how in ((), ("nonblocking",)):
            self.assert_line(rf"closed\.test:2105: .*: the gateway answered: connection refused \(ECONNREFUSED\), {TIME}",
                             "closed.test", scripted_gateway.REFUSE + 5, *how, says="refused")

    def test_the_gateways_failure(self):
        self.gateway.die()
        self.assert_line(rf"any\.test:2000: through the gateway {self.name}, .*: the gateway cannot be reached", "any.test",
                         scripted_gateway.ECHO, says="refused")

    def test_this_host_is_direct(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        port = listener.getsockname()[1]

        def echo():
            connection, _ = listener.accept()
            connection.sendall(connection.recv(4))
            connection.close()
        threading.Thread(target=echo, daemon=True).start()
        self.assert_line(rf"127\.0\.0\.1:{port}: direct, this host: connected, {TIME}", "127.0.0.1", port)
        self.assertEqual(self.gateway.requests, [])

    def test_a_direct_connect_that_fails(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
            self.assert_line(rf"127\.0\.0\.1:{port}: direct, this host: ECONNREFUSED, {TIME}", "127.0.0.1", port, says="refused")

    def test_a_fake_address_that_no_name_has(self):
        self.assert_line(r"0\.0\.0\.77:80: refused, no name has this fake address: EHOSTUNREACH$", "0.0.0.77", 80, says="failed")

    def test_datagrams(self):
        self.assert_line(r"192\.0\.2\.9:5353 \(datagrams\): refused, datagrams are refused: ENETUNREACH$", "192.0.2.9", 5353, "udp",
                         says="failed")

    def test_rules(self):
        rules = "refuse bad.test:80-90; direct 127.0.0.0/8; gateway .good.test; refuse [2001:db8::/32]:25"
        for arguments, expected in (
                (("www.bad.test", 81), r"www\.bad\.test:81: refused, the rule 'refuse bad\.test:80-90': EACCES$"),
                (("www.good.test", scripted_gateway.ECHO), r"www\.good\.test:2000: through .*, the rule 'gateway \.good\.test': connected"),
                (("2001:db8::9", 25), r"\[2001:db8::9\]:25: refused, the rule 'refuse \[2001:db8::/32\]:25': EACCES$"),
                (("127.0.0.1", 1), r"127\.0\.0\.1:1: direct, the rule 'direct 127\.0\.0\.0/8': ECONNREFUSED")):
            with self.subTest(arguments):
                _, lines = self.dial(*arguments, SOCKS64_RULES=rules)
                self.assertEqual(len(lines), 1, lines)
                self.assertRegex(lines[0], LINE + expected)

    def test_a_look_up_that_a_rule_decides(self):
        # libc finds localhost in /etc/hosts: no question of this test reaches a DNS server.
        ask = ("import socket, sys; socket.getaddrinfo(sys.argv[1], 80, socket.AF_INET)",
               "import ctypes, sys; ctypes.CDLL(None).gethostbyname(sys.argv[1].encode())")
        for name, rules, no_proxy, expected in (
                ("localhost", "direct localhost", None, "looked up by this host, the rule 'direct localhost'"),
                ("localhost", None, ".localhost", "looked up by this host, the rule 'direct localhost'"),
                ("v4only.test", "refuse .test", None, r"not looked up, refused by the rule 'refuse \.test'"),
                ("v4only.test", "refuse *", None, r"not looked up, refused by the rule 'refuse \*'")):
            for program in ask:
                with self.subTest(rules or no_proxy, program=program):
                    _, out, err = self.socksify("-g", self.gateway.url(), "--explain", "python3", "-c", program, name,
                                                SOCKS64_RULES=rules, no_proxy=no_proxy)
                    lines = [line for line in err.splitlines() if line.startswith("socks64[")]
                    self.assertEqual(len(lines), 1, err)
                    self.assertRegex(lines[0], LINE + re.escape(name) + ": " + expected + "$")

    def test_a_look_up_that_no_rule_decides_is_no_line(self):
        for rules in ("gateway .test", "refuse v4only.test:81", "direct 198.18.0.0/15"):
            with self.subTest(rules):
                _, out, err = self.socksify("-g", self.gateway.url(), "--explain", "python3", "-c",
                                            "import socket; socket.getaddrinfo('v4only.test', 80); socket.getaddrinfo('198.18.0.1', 80)",
                                            SOCKS64_RULES=rules)
                self.assertEqual(err, "")

    def test_a_wrong_configuration(self):
        _, out, err = self.socksify("--explain", "sh", "-c", f'SOCKS64_TIMEOUT=0 exec "$0" 192.0.2.9 80', DIAL)
        self.assertRegex(err.splitlines()[-1], LINE + r"192\.0\.2\.9:80: refused, the configuration has a mistake: ENETDOWN$")

    def test_only_when_asked(self):
        self.assertEqual(self.dial("v6only.test", scripted_gateway.ECHO, options=()), ("reached", []))
        _, lines = self.dial("v6only.test", scripted_gateway.ECHO, options=("-v",))
        self.assertRegex(lines[0], LINE + "connected to v6only.test:2000 through ")

    def test_a_name_cannot_forge_a_line(self):
        _, lines = self.dial("a\nsocks64[1]: b.test", scripted_gateway.ECHO)
        self.assertLessEqual(len(lines), 1)


if __name__ == "__main__":
    main()
