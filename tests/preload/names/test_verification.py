"""With verify_names a name that does not exist fails in the look-up; whatever else happens, it gets its fake address."""

import os
import socket
import struct
import tempfile
import threading
import time
import unittest

import scripted_gateway as script
from probe_case import ProbeCase, main

RESOLVE = 0xF0
ON = {"SOCKS64_VERIFY_NAMES": "on"}
FOUND = ["getaddrinfo found", "gethostbyname found", "gethostbyname2 found", "gethostbyname_r found"]
NOT_FOUND = ["getaddrinfo EAI_NONAME", "gethostbyname HOST_NOT_FOUND", "gethostbyname2 HOST_NOT_FOUND",
             "gethostbyname_r HOST_NOT_FOUND"]


class ResolvingGateway(script.ScriptedGateway):
    """The first label of the name says what RESOLVE is answered with: "reply-N", "closed", "reset", "silent", "slow",
    "slow-reply-4", "name"; anything else exists. A CONNECT is as ever."""

    def __init__(self, *arguments, **options):
        self.asked, self._now = [], threading.local()  # the names of RESOLVE, in order
        super().__init__(*arguments, **options)

    def _read_request(self, connection, source_port, user):
        head = self._exactly(connection, 4)
        self._now.name = None
        if head[1] == RESOLVE:
            assert (head[0], head[2], head[3]) == (5, 0, 3), f"request {head.hex()}"
            name = self._exactly(connection, self._exactly(connection, 1)[0]).decode()
            (port,) = struct.unpack("!H", self._exactly(connection, 2))
            assert port == 0, f"port {port} in RESOLVE"
            self._now.name = name
            with self._lock:
                self.asked.append(name)
            return script.Request("resolve", name, port, source_port, user)
        assert head == b"\x05\x01\x00\x03", f"request {head.hex()}"
        host = self._exactly(connection, self._exactly(connection, 1)[0]).decode()
        (port,) = struct.unpack("!H", self._exactly(connection, 2))
        return script.Request("name", host, port, source_port, user)

    def _play(self, connection, port, asked_at):
        if self._now.name is None:
            return super()._play(connection, port, asked_at)
        label = self._now.name.split(".")[0].lower()
        if label == "closed":
            return None
        if label == "reset":
            return script.reset(connection)
        if label == "silent":
            return connection.recv(1)
        if label.startswith("slow"):
            time.sleep(0.3)
            label = label[5:]
        code = int(label[6:]) if label.startswith("reply-") else 0
        bound = b"\x04" + socket.inet_pton(socket.AF_INET6, "2001:db8::1") + b"\0\0" if code == 0 else bytes([1] + 6 * [0])
        connection.sendall(bytes([5, code, 0]) + (script.BND_DOMAIN if label == "name" else bound))
        return connection.recv(1)


class VerificationCase(ProbeCase):
    def setUp(self):
        super().setUp()
        self.gateway.die()
        self.gateway = ResolvingGateway(greeting=self.greeting)
        self.addCleanup(self.gateway.die)

    def lines(self, *arguments, environment=ON, **options):
        return self.probe(*arguments, environment=environment, **options).splitlines()


class Answers(VerificationCase):
    def test_a_name_that_does_not_exist_fails_in_every_call(self):
        self.assertEqual(self.lines("ask", "reply-4.test"), NOT_FOUND)
        self.assertEqual(self.gateway.asked, ["reply-4.test"], "the answer was not kept")

    def test_a_name_that_exists_is_found_and_reached(self):
        self.assertEqual(self.lines("ask", "exists.test"), FOUND)
        self.assertEqual(self.gateway.asked, ["exists.test"], "the answer was not kept")
        self.lines("reach", "exists.test", script.ECHO)

    def test_off_nobody_is_asked(self):
        for environment in ({}, {"SOCKS64_VERIFY_NAMES": "off"}):
            self.assertEqual(self.lines("ask", "reply-4.test", environment=environment), FOUND)
        self.assertEqual(self.gateway.accepted, 0)

    def test_names_of_this_host_and_literals_are_nobody_elses_business(self):
        self.assertEqual([line.split()[0] for line in self.lines("each", "localhost", "192.0.2.1", "a..b")],
                         ["found", "found", "EAI_NONAME"])
        self.assertEqual(self.gateway.accepted, 0)

    def test_case_and_a_trailing_dot_make_no_other_name(self):
        self.assertEqual([line.split()[0] for line in self.lines("each", "Reply-4.Test", "reply-4.test.", "REPLY-4.test")],
                         3 * ["EAI_NONAME"])
        self.assertEqual(len(self.gateway.asked), 1)

    def test_only_one_reply_takes_a_name_away(self):
        for code in (1, 2, 3, 5, 6, 7, 8, 9, 255):
            with self.subTest(code=code):
                self.assertEqual(self.lines("ask", f"reply-{code}.test"), FOUND)

    def test_a_name_as_the_answer_is_an_answer(self):
        self.assertEqual(self.lines("ask", "name.test"), FOUND)

    def test_a_call_that_must_not_wait_does_not(self):
        # Had the first one waited for the answer, it would have passed it on.
        self.assertEqual(self.lines("background", "slow-reply-4.test"), ["found", "EAI_NONAME"])
        self.assertEqual(len(self.gateway.asked), 1)

    def test_with_pipelining(self):
        for name, said in (("reply-4.test", NOT_FOUND), ("exists.test", FOUND)):
            self.assertEqual(self.lines("ask", name, environment={**ON, "SOCKS64_PIPELINING": "on"}), said)

    def test_a_refused_name_is_not_asked_for(self):
        self.assertEqual(self.lines("ask", "exists.test", environment={**ON, "SOCKS64_RULES": "refuse exists.test"}), NOT_FOUND)
        self.assertEqual(self.gateway.accepted, 0)


class WithPassword(VerificationCase):
    greeting = "password"

    def test_the_credentials_are_those_of_a_connect(self):
        url = self.gateway.url("ann:secret@")
        self.assertEqual(self.lines("ask", "reply-4.test", gateway=url), NOT_FOUND)
        self.assertEqual([request.user for request in self.gateway.requests], ["ann"])

    def test_wrong_ones_show_at_connect(self):
        self.assertEqual(self.lines("ask", "reply-4.test", gateway=self.gateway.url("ann:wrong@")), FOUND)
        self.assertEqual(self.gateway.asked, [])


class Gateways(VerificationCase):
    """A gateway that cannot tell is as none that was asked, and is left alone for a while."""

    def test_one_that_does_not_know_RESOLVE_is_asked_once(self):
        for label in ("reply-7", "closed", "reset"):
            with self.subTest(label):
                self.gateway.asked.clear()
                said = self.lines("each", f"{label}.test", "reply-4.test", "reply-4.other.test")
                self.assertEqual([line.split()[0] for line in said], 3 * ["found"])
                self.assertEqual(self.gateway.asked, [f"{label}.test"])

    def test_one_that_cannot_tell_this_name_is_asked_for_the_next(self):
        said = self.lines("each", "reply-1.test", "reply-4.test")
        self.assertEqual([line.split()[0] for line in said], ["found", "EAI_NONAME"])

    def test_one_that_is_not_there(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            url = f"socks5://127.0.0.1:{closed.getsockname()[1]}"
            self.assertEqual(self.lines("ask", "reply-4.test", gateway=url), FOUND)

    def test_one_that_never_answers_costs_its_time_once(self):
        black_hole = "socks5://10.64.64.200:1080"
        for gateway, names in ((self.gateway.url(), ("silent.test", "silent.test")), (black_hole, ("a.test", "b.test"))):
            with self.subTest(gateway):
                said = self.lines("each", *names, gateway=gateway, environment={**ON, "SOCKS64_TIMEOUT": "1"})
                self.assertEqual([line.split()[0] for line in said], ["found", "found"])
                first, second = (float(line.split()[1]) for line in said)
                self.assertGreaterEqual(first, 0.9)
                self.assertLess(second, 0.9)

    def test_rubbish(self):
        for greeting in ("garbage", "cut", "reset", "none", "drip"):
            with self.subTest(greeting):
                gateway = ResolvingGateway(greeting=greeting)
                self.addCleanup(gateway.die)
                said = self.lines("ask", "reply-4.test", gateway=gateway.url())
                self.assertEqual(said, NOT_FOUND if greeting == "drip" else FOUND)

    def test_over_IPv6(self):
        gateway = ResolvingGateway("::1")
        self.addCleanup(gateway.die)
        self.assertEqual(self.lines("ask", "reply-4.test", gateway=gateway.url()), NOT_FOUND)

    def test_the_next_one_is_asked_in_time(self):
        """One that is silent has its own time, not that of the whole look-up; and the look-up after it leaves it out."""
        silent = ResolvingGateway(greeting="silent")
        self.addCleanup(silent.die)
        for first in ("socks5://10.64.64.200:1080", silent.url()):
            with self.subTest(first):
                said = self.lines("each", "reply-4.test", "reply-4.other.test", gateway=f"{first} {self.gateway.url()}",
                                  environment={**ON, "SOCKS64_GATEWAY_TIMEOUT": "1"})
                self.assertEqual([line.split()[0] for line in said], 2 * ["EAI_NONAME"])
                first_time, second_time = (float(line.split()[1]) for line in said)
                self.assertGreaterEqual(first_time, 0.9)
                self.assertLess(second_time, 0.9)
        self.assertEqual(silent.accepted, 1)

    def test_questions_are_no_turns_of_the_balance(self):
        other = ResolvingGateway()
        self.addCleanup(other.die)
        self.probe("reach_each", str(script.ECHO), "a.test", "b.test", "c.test", "d.test",
                   gateway=f"{self.gateway.url()} {other.url()}", environment={**ON, "SOCKS64_BALANCE": "round-robin"})
        connects = [[request.host for request in gateway.requests if request.kind == "name"]
                    for gateway in (self.gateway, other)]
        self.assertEqual(sorted(connects), [["a.test", "c.test"], ["b.test", "d.test"]])

    def test_a_wrong_configuration_asks_nobody(self):
        self.assertEqual(self.lines("ask", "reply-4.test", environment={**ON, "SOCKS64_TIMEOUT": "0"}), FOUND)
        self.assertEqual(self.gateway.accepted, 0)


class HostileProcesses(VerificationCase):
    def test_without_a_free_descriptor_the_name_is_found(self):
        self.assertEqual(self.lines("exhausted", "reply-4.test"), ["found"])
        self.assertEqual(self.gateway.accepted, 0)

    @unittest.skipIf(os.environ.get("SOCKS64_TEST_SANITIZE") == "thread",
                     "the probe writes to descriptors that come and go, which is what TSan calls a race")
    def test_the_descriptor_is_never_a_standard_one(self):
        with tempfile.NamedTemporaryFile() as report:
            self.lines("low", "slow-reply-4.test", report.name)
            self.assertEqual(report.read(), b"EAI_NONAME\n")

    def test_threads(self):
        self.assertEqual(self.lines("threads", "slow-reply-4.test"), 16 * ["EAI_NONAME"])

    def test_children_of_threads_that_ask(self):
        self.assertEqual(self.lines("forks", "reply-4.test"), ["0 of 50 children were told something else"])

    def test_signals_do_not_end_the_wait(self):
        self.assertEqual(self.lines("interrupted", "slow-reply-4.test"), ["EAI_NONAME"])


if __name__ == "__main__":
    main()
