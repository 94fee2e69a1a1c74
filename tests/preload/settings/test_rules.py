"""What is direct, goes through the gateway, or is refused, by name, address block and port.

Besides the network of probe_case there is a host of two addresses here, 192.0.2.80 and 2001:db8::80, that answers DIRECT on
port HELLO, where the gateway's destination answers HELLO. /etc/hosts and /etc/resolv.conf are ours; the DNS server remembers
what it is asked.
"""

import ctypes
import ipaddress
import os
import pathlib
import socket
import struct
import subprocess
import tempfile
import threading
import unittest

import probe_case
from probe_case import ProbeCase
import scripted_gateway as script

HERE4, HERE6 = "192.0.2.80", "2001:db8::80"
RECORDS = {  # the names that the DNS server knows
    "web.lab.test": (HERE4, HERE6),
    "four.lab.test": (HERE4, None),
    "six.lab.test": (None, HERE6),
}
HOSTS = f"""127.0.0.1 localhost
::1 localhost
{HERE4} listed.test listed-alias.test
192.0.2.81 elsewhere.test
"""
FILES = {"hosts": HOSTS, "resolv.conf": "nameserver 127.0.0.1\noptions timeout:5 attempts:2\n",
         "nsswitch.conf": "hosts: files dns\nservices: files\n", "services": "http 80/tcp www\ndomain 53/udp\n"}
NO_NAME = "Name or service not known"


class NameServer:
    """Answers A, AAAA and PTR over UDP, and everything else with NXDOMAIN."""

    def __init__(self):
        self.asked = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            query, peer = self.socket.recvfrom(4096)
            labels, place = [], 12
            while query[place]:
                labels.append(query[place + 1:place + 1 + query[place]].decode().lower())
                place += 1 + query[place]
            kind = struct.unpack("!H", query[place + 1:place + 3])[0]
            name = ".".join(labels)
            self.asked.append(name)
            data = self._answer(name, kind)
            known = data is not None or name in RECORDS
            head = query[:2] + struct.pack("!HHHHH", 0x8580 | (0 if known else 3), 1, 1 if data else 0, 0, 0)
            answer = struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(data)) + data if data else b""
            self.socket.sendto(head + query[12:place + 5] + answer, peer)

    @staticmethod
    def _answer(name, kind):
        ipv4, ipv6 = RECORDS.get(name, (None, None))
        if kind == 1 and ipv4:
            return ipaddress.ip_address(ipv4).packed
        if kind == 28 and ipv6:
            return ipaddress.ip_address(ipv6).packed
        if kind == 12 and name in (ipaddress.ip_address(here).reverse_pointer for here in (HERE4, HERE6)):
            return b"\x03web\x03lab\x04test\x00"
        return None


def direct_host(family, address):
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.bind((address, script.HELLO))
    listener.listen(64)

    def serve():
        while True:
            peer, _ = listener.accept()
            peer.sendall(b"DIRECT")
            peer.close()

    threading.Thread(target=serve, daemon=True).start()


class RulesCase(ProbeCase):
    names = None  # the name server, made once

    def setUp(self):
        super().setUp()
        self.names.asked.clear()

    def run_with(self, rules, *arguments, **environment):
        return self.run_probe(*arguments, environment={"SOCKS64_RULES": rules, **environment})

    def who_answers(self, rules, host, port=script.HELLO, family=0, **environment):
        """Who answers: DIRECT, HELLO (through the gateway), an errno, or the resolver's word."""
        return self.check(self.run_with(rules, "greeted_by", host, port, family, **environment)).strip()

    def assert_answers(self, rules, table, **environment):
        """{(host[, port[, family]]): greeting}"""
        for where, expected in table.items():
            where = where if isinstance(where, tuple) else (where,)
            with self.subTest(rules=rules, where=where):
                self.assertEqual(self.who_answers(rules, *where, **environment), expected)

    def answers(self, rules, name):
        return self.check(self.run_with(rules, "resolve_by_all", name))

    def assert_as_without(self, rules, *arguments):
        plain = self.probe(*arguments, preload=False)
        self.assertNotEqual(plain, "")
        self.assertEqual(plain, self.check(self.run_with(rules, *arguments)))


class Names(RulesCase):
    def test_a_direct_name_is_looked_up_by_libc_through_every_call(self):
        for name in ("web.lab.test", "Four.lab.test", "six.lab.test.", "missing.lab.test", "lab.test"):
            with self.subTest(name):
                self.assert_as_without("direct lab.test", "resolve_by_all", name)
        self.assertIn("web.lab.test", self.names.asked)
        self.assertEqual(self.gateway.accepted, 0)

    def test_a_direct_names_records_and_simultaneous_look_ups_are_libcs(self):
        for name in ("web.lab.test", "four.lab.test", "missing.lab.test"):
            self.assert_as_without("direct lab.test", "records_by_all", name)
        self.assert_as_without("direct lab.test", "at_once_by_all", "web.lab.test", "missing.lab.test")
        self.names.asked.clear()
        self.check(self.run_with("direct lab.test", "records_by_all", "web.example"))
        answers = self.check(self.run_with("refuse lab.test", "records_by_all", "web.lab.test"))
        # HOST_NOT_FOUND, or NO_DATA for the text.
        self.assertEqual(set(line.split(": ")[1] for line in answers.splitlines()), {"-1, h_errno 1", "-1, h_errno 4"})
        self.assertEqual(self.names.asked, [])

    def test_the_programs_own_queries_to_a_resolver(self):
        missing = "missing.lab.test"  # in the process every name has an address
        for rules, expected in (("", "code 0, 1 records"), ("direct *", "code 3, 0 records"),
                                ("direct 127.0.0.1:53", "code 3, 0 records"), ("direct *:53", "code 0, 1 records"),
                                ("refuse 127.0.0.0/8", "EACCES"), ("refuse *:53", "code 0, 1 records"),
                                ("gateway a.test; direct *", "code 3, 0 records"), ("direct lab.test", "code 3, 0 records")):
            with self.subTest(rules):
                self.names.asked.clear()
                self.assertEqual(self.check(self.run_with(rules, "query_to", "127.0.0.1", missing)), expected + "\n")
                self.assertEqual(self.names.asked, [missing] if "code 3" in expected else [])
        self.assertEqual(self.check(self.run_with("refuse *:53", "query_to", "192.0.2.53", missing)), "EACCES\n")

    def test_a_direct_name_in_the_programs_own_queries_is_the_resolvers_and_reached_directly(self):
        for how in ("udp", "tcp", "res_query", "res_send"):
            for name, greeting in (("web.lab.test", "DIRECT"), ("web.example", "HELLO")):
                with self.subTest(how=how, name=name):
                    self.names.asked.clear()
                    told = self.check(self.run_with("direct lab.test", "greeted_at_record", how, name, script.HELLO))
                    self.assertEqual(told, greeting + "\n")
                    self.assertEqual(self.names.asked, [name] if greeting == "DIRECT" else [])
        # This host's own names are asked of nobody, and have their own addresses.
        told = self.check(self.run_with("direct listed.test", "greeted_at_record", "udp", "listed.test", script.HELLO))
        self.assertEqual((told, self.names.asked), ("DIRECT\n", []))

    def test_a_direct_name_is_reached_directly_and_others_are_not_asked_for(self):
        self.assert_answers("direct lab.test; direct 192.0.2.0/24; direct 2001:db8::/32", {
            ("web.lab.test", script.HELLO, 4): "DIRECT", ("web.lab.test", script.HELLO, 6): "DIRECT",
            "web.example": "HELLO", "notlab.test": "HELLO"})
        self.assertEqual(set(self.names.asked), {"web.lab.test"})
        self.assert_asked(f"name web.example:{script.HELLO}", f"name notlab.test:{script.HELLO}")

    def test_a_direct_name_is_reached_directly_by_its_rule_alone(self):
        self.assert_answers("direct lab.test", {("web.lab.test", script.HELLO, 4): "DIRECT",
                                                ("web.lab.test", script.HELLO, 6): "DIRECT", HERE4: "HELLO"})
        self.assert_answers("direct listed.test; refuse *", {"listed.test": "DIRECT", HERE4: "EACCES"})
        # Of its rule and those for the address the first wins.
        self.assert_answers(f"refuse {HERE4}; direct lab.test", {("web.lab.test", script.HELLO, 4): "EACCES"})
        self.assert_answers(f"direct lab.test; refuse {HERE4}", {("web.lab.test", script.HELLO, 4): "DIRECT"})
        self.assert_asked(f"ipv4 {HERE4}:{script.HELLO}")

    def test_only_what_is_below_a_name(self):
        self.assert_answers("refuse .lab.test", {"web.lab.test": NO_NAME, "a.web.lab.test": NO_NAME,
                                                   "lab.test": "HELLO"})
        self.assertEqual(self.names.asked, [])

    def test_a_refused_name_does_not_exist_for_any_call(self):
        answers = self.answers("refuse lab.test", "web.lab.test")
        self.assertNotIn("192.0.2", answers)
        self.assertNotIn(" 0.", answers)
        lines = [line for line in answers.splitlines() if line.startswith("getaddrinfo") and "/" in line]
        self.assertEqual(lines, [])
        for line in answers.splitlines():
            if "gethostby" in line:
                self.assertTrue(line.endswith("h_errno 1"), line)  # HOST_NOT_FOUND
        self.assertEqual(self.names.asked, [])
        self.assertEqual(self.gateway.accepted, 0)

    def test_the_ports_of_a_name(self):
        hello = script.HELLO
        self.assert_answers(f"refuse a.test:25; refuse b.test:2000-{hello}; gateway c.test:{hello}; refuse c.test", {
            ("a.test", 25): "EACCES", ("a.test", hello): "HELLO", ("x.a.test", 25, 6): "EACCES",
            ("b.test", hello): "EACCES", ("c.test", hello): "HELLO", ("c.test", 80): "EACCES"})
        self.assert_asked(f"name a.test:{hello}", f"name c.test:{hello}")
        self.assertEqual(self.names.asked, [])

    def test_hosts_and_localhost_answer_unless_a_rule_is_for_just_that_name(self):
        direct = "direct 192.0.2.0/24"
        self.assert_answers(direct, {"listed.test": "DIRECT"})
        self.assert_answers(f"{direct}; refuse *", {"listed.test": "DIRECT", "other.test": NO_NAME})
        self.assert_answers(f"{direct}; gateway *", {"listed.test": "DIRECT"})
        self.assert_answers(f"{direct}; refuse listed.test", {"listed.test": NO_NAME, "listed-alias.test": "DIRECT"})
        self.gateway.requests.clear()
        self.assert_answers("gateway listed.test; gateway localhost", {"listed.test": "HELLO", "localhost": "HELLO"})
        self.assert_asked(f"name listed.test:{script.HELLO}", f"name localhost:{script.HELLO}")
        self.assert_answers("refuse localhost", {"localhost": NO_NAME})
        self.assertEqual(self.names.asked, [])
        self.assert_as_without("direct listed.test", "resolve_by_all", "listed.test")

    def test_literals_of_the_other_family(self):
        # Without a rule they are delegated as names (RFC 3089 section 3).
        self.assert_answers("", {(HERE4, script.HELLO, 6): "HELLO", (HERE6, script.HELLO, 4): "HELLO"})
        self.assert_asked(f"name {HERE4}:{script.HELLO}", f"name {HERE6}:{script.HELLO}")
        rules = f"direct {HERE4}; refuse {HERE6}; refuse 192.0.2.81:25"
        self.assert_as_without(rules, "resolve_by_all", HERE4)
        self.assert_answers(rules, {(HERE6, script.HELLO, 4): NO_NAME, (HERE6, script.HELLO, 6): "EACCES",
                                      ("192.0.2.81", 25, 6): "EACCES", ("192.0.2.81", script.HELLO, 6): "HELLO"})

    def test_the_name_of_a_direct_address_is_asked_of_libc(self):
        for address in (HERE4, HERE6, "192.0.2.81", "192.0.2.99"):
            self.assert_as_without("direct 192.0.2.0/24; direct 2001:db8::/32", "name_by_all", address)
        self.assertNotEqual(self.names.asked, [])
        self.names.asked.clear()
        self.probe("name_by_all", HERE4)
        self.assertEqual(self.names.asked, [])


class Addresses(RulesCase):
    def test_blocks_and_ports(self):
        hello = script.HELLO
        self.assert_answers(f"direct {HERE4}:{hello}; refuse [2001:db8::/32]:1000-{hello}; refuse 198.51.100.0/24", {
            HERE4: "DIRECT", f"::ffff:{HERE4}": "DIRECT", HERE6: "EACCES", "198.51.100.7": "EACCES",
            "::ffff:198.51.100.7": "EACCES", "192.0.2.81": "HELLO", "2001:db9::1": "HELLO"})
        self.assert_asked(f"ipv4 192.0.2.81:{hello}", f"ipv6 2001:db9::1:{hello}")

    def test_a_refusal_is_at_once_in_every_kind_of_connect(self):
        for address in ("198.51.100.7", "2001:db8:1::1"):
            self.check(self.run_with("refuse 198.51.100.0/24; refuse 2001:db8:1::/48", "refused_tcp", address, "EACCES"))

    def test_the_first_rule_that_matches_wins(self):
        self.assert_answers(f"direct {HERE4}; refuse 192.0.2.0/24; gateway *", {HERE4: "DIRECT", "192.0.2.1": "EACCES"})
        self.assert_answers(f"refuse 192.0.2.0/24; direct {HERE4}", {HERE4: "EACCES"})

    def test_ports_of_any_host(self):
        hello = script.HELLO
        # A name behind a fake address cannot be direct: it stays with the gateway.
        self.assert_answers(f"direct *:{hello}; refuse *:25", {
            HERE4: "DIRECT", "web.lab.test": "HELLO", ("192.0.2.1", 25): "EACCES", ("web.lab.test", 25): "EACCES"})
        self.assertEqual(self.names.asked, [])
        # Behind it everything is direct: names are looked up, and their addresses judged.
        self.assert_answers(f"refuse *:25; gateway *:{hello}; direct *", {
            ("web.lab.test", 25): "EACCES", ("web.lab.test", hello, 4): "HELLO", HERE6: "HELLO"})
        self.assertEqual(set(self.names.asked), {"web.lab.test"})

    def test_only_mode(self):
        self.assert_answers("gateway only.test; gateway 192.0.2.81; direct *", {
            "only.test": "HELLO", "192.0.2.81": "HELLO", HERE4: "DIRECT", HERE6: "DIRECT", "web.lab.test": "DIRECT"})
        self.assertEqual(set(self.names.asked), {"web.lab.test"})

    def test_datagrams(self):
        for address in ("192.0.2.1", "2001:db8::1"):
            self.check(self.run_with("direct 192.0.2.1; direct 2001:db8::1", "allowed_udp", address))
            self.assertIn(address, self.sniffer.destinations())
            self.check(self.run_with("direct 192.0.2.2; direct 2001:db8::2", "refused_udp", address, "ENETUNREACH"))
            self.check(self.run_with("refuse 192.0.2.1; refuse 2001:db8::/64", "refused_udp", address, "EACCES",
                                     SOCKS64_UDP="direct"))
            self.check(self.run_with(f"direct {HERE4}", "allowed_udp", address, SOCKS64_UDP="direct"))
        self.check(self.run_with("direct *", "refused_udp", "0.0.0.77", "EHOSTUNREACH"))
        self.assertNotIn("0.0.0.77", self.sniffer.destinations())


class Loopback(RulesCase):
    def test_rules_for_everything_leave_it_alone(self):
        self.assert_same_without("direct_connection", "127.0.0.1", environment={"SOCKS64_RULES": "refuse *"})
        self.assert_same_without("direct_connection", "::1", environment={"SOCKS64_RULES": "refuse ::/0; gateway *"})
        self.assert_same_without("unix_connection", environment={"SOCKS64_RULES": "refuse *; refuse 127.0.0.0/8"})
        self.check(self.run_with("refuse 0.0.0.0/0", "this_host", "0.0.0.0"))

    def test_a_rule_of_its_own(self):
        for address in ("127.0.0.1", "127.9.9.9", "::ffff:127.0.0.1", "0.0.0.0", "::1", "::"):
            self.assert_answers("refuse 127.0.0.0/8; refuse ::1", {address: "EACCES"})
        self.assertEqual(self.gateway.accepted, 0)
        self.assert_answers("gateway 127.0.0.0/8; gateway ::1", {"127.0.0.1": "HELLO", "0.0.0.0": "HELLO", "::1": "HELLO"})
        self.assert_asked(*[f"ipv4 127.0.0.1:{script.HELLO}"] * 2, f"ipv6 ::1:{script.HELLO}")


class EverythingDirect(RulesCase):
    RULES = {"SOCKS64_RULES": "direct *"}

    def test_every_look_up_is_libcs(self):
        for name in ("web.lab.test", "missing.lab.test", "localhost", "listed.test", "-", "*", "", "..", "a b.test",
                     "x" * 70 + ".test", "1.2.3", "0x7f.1", "256.1.1.1", "::1", "2001:db8::1", "::ffff:1.2.3.4", "fe80::1%lo"):
            with self.subTest(name):
                self.assert_as_without("direct *", "resolve_by_all", name)
        for name in ("web.lab.test", "missing.lab.test", "localhost", "a..b"):
            self.assert_as_without("direct *", "records_by_all", name)

    @unittest.skipIf(os.environ.get("SOCKS64_TEST_SANITIZE") == "thread",
                     "NOT RUN: ThreadSanitizer knows nothing of the threads that libc makes")
    def test_look_ups_on_libcs_own_threads_are_libcs(self):
        self.assert_as_without("direct *", "at_once_by_all", "web.lab.test", "missing.lab.test", "localhost", "1.2.3")

    def test_every_name_of_an_address_is_libcs(self):
        for address in (HERE4, HERE6, "127.0.0.1", "::1", "192.0.2.99", "0.0.0.0", "::"):
            with self.subTest(address):
                self.assert_as_without("direct *", "name_by_all", address)

    def test_connections_are_direct(self):
        self.assert_answers("direct *", {HERE4: "DIRECT", HERE6: "DIRECT", f"::ffff:{HERE4}": "DIRECT",
                                           "web.lab.test": "DIRECT", "listed.test": "DIRECT", ("web.lab.test", 1): "ECONNREFUSED"})
        self.assertEqual(self.gateway.accepted, 0)

    def test_sockets_answer_as_without_the_library(self):
        for case in (("wrong_arguments",), ("pending_answers", script.NEVER), ("unconnected_answers",),
                     ("direct_connection", "127.0.0.1"), ("direct_connection", HERE4), ("direct_connection", HERE6),
                     ("unix_connection",), ("child_descriptors",), ("list_descriptors",)):
            with self.subTest(case):
                self.assert_same_without(*case, environment=self.RULES)
        self.assertEqual(self.gateway.accepted, 0)

    def test_datagrams_are_direct(self):
        self.check(self.run_with("direct *", "allowed_udp", "192.0.2.1"))
        self.assertIn("192.0.2.1", self.sniffer.destinations())

    def test_a_fake_address_still_goes_nowhere(self):
        self.assert_answers("direct *", {"0.0.0.77": "EHOSTUNREACH", "100::77": "EHOSTUNREACH"})


class Files(RulesCase):
    def with_file(self, text):
        file = tempfile.NamedTemporaryFile("w", prefix="socks64-rules-", suffix=".conf")
        self.addCleanup(file.close)
        file.write(text)
        file.flush()
        return file.name

    def test_rules_of_a_file(self):
        path = self.with_file("rule = direct 192.0.2.80  # here\nrule = refuse 192.0.2.0/24\nrule=refuse lab.test\n")
        self.assert_answers("", {HERE4: "DIRECT", "192.0.2.1": "EACCES", "web.lab.test": NO_NAME, "a.test": "HELLO"},
                              SOCKS64_CONFIG=path)

    def test_the_environments_come_first(self):
        path = self.with_file(f"rule = direct {HERE4}\nrule = refuse *\n")
        self.assert_answers(f"refuse {HERE4}; gateway {HERE6};", {HERE4: "EACCES", HERE6: "HELLO", "192.0.2.1": "EACCES"},
                              SOCKS64_CONFIG=path)

    def test_as_many_as_there_may_be(self):
        path = self.with_file("".join(f"rule = refuse h{i}.test\n" for i in range(512)))
        self.assert_answers("", {"h511.test": NO_NAME, "h512.test": "HELLO"}, SOCKS64_CONFIG=path)
        self.assert_answers("direct *", {"h1.test": "ENETDOWN", HERE4: "ENETDOWN"}, SOCKS64_CONFIG=path)


def enter():
    probe_case.enter_network()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x20000) != 0:  # CLONE_NEWNS
        probe_case.skip("no mount namespace can be made: /etc/hosts and /etc/resolv.conf cannot be ours")
    resolved = {name: pathlib.Path("/etc", name).resolve() for name in FILES}  # some are links into /run
    commands = [["mount", "--make-rprivate", "/"], ["mount", "-t", "tmpfs", "tmpfs", "/run"]]
    for command in commands:
        subprocess.run(command, check=True)
    directory = pathlib.Path("/run/rules")
    directory.mkdir()
    for name, text in FILES.items():
        target = resolved[name]
        if target.is_relative_to("/run"):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        if not target.exists():
            probe_case.skip(f"{target} does not exist, so that nothing can be mounted over it")
        (directory / name).write_text(text)
        subprocess.run(["mount", "--bind", str(directory / name), str(target)], check=True)
    for here in (f"{HERE4}/32", f"{HERE6}/128"):
        subprocess.run(["ip", "address", "add", here, "dev", "lo"] + (["nodad"] if ":" in here else []), check=True)
    direct_host(socket.AF_INET, HERE4)
    direct_host(socket.AF_INET6, HERE6)
    RulesCase.names = NameServer()


if __name__ == "__main__":
    probe_case.main(enter)
