"""Failover, balance and cool-down; gateways by name; credentials from a file; pipelining."""

import os
import re
import shutil
import socket
import struct
import tempfile
import threading

from probe_case import IPV6, IPV6_ONLY, PRELOAD, PROBE, ProbeCase, main
import scripted_gateway as script

LOST = "socks5://203.0.113.1:1080"  # behind the wire without a far end
QUICK = {"SOCKS64_GATEWAY_TIMEOUT": "1"}
WAITERS = [("several_async", waiter) for waiter in ("poll", "select", "epoll_wait", "epoll_pwait2")]
ASYNC = [("scan_ready", "poll", "both"), ("scan_ready", "select", "out"), ("epoll_ready", "epoll_wait", "before", "edge"),
         ("epoll_ready", "epoll_wait", "after", "level"), ("epoll_ready", "epoll_pwait", "before", "oneshot")]


class SeveralCase(ProbeCase):
    def make(self, address="127.0.0.1", **options):
        if address == "unix":
            folder = tempfile.TemporaryDirectory(prefix="socks64-several-")
            self.addCleanup(folder.cleanup)
            address = os.path.join(folder.name, "gateway")
        gateway = script.ScriptedGateway(address, **options)
        self.addCleanup(gateway.die)
        return gateway

    def dead(self, address="127.0.0.1"):
        """The URL of a gateway that is not there any more."""
        gateway = script.ScriptedGateway(address)
        gateway.die()
        return gateway.url()


class Failover(SeveralCase):
    def check_goes_on(self, first, environment=None, count=1):
        """From `first` (URLs) to a gateway that works."""
        good = self.make()
        urls = " ".join([*first, good.url()])
        self.probe("several_connects", count, gateway=urls, environment=environment)
        self.assertEqual(len(good.requests), count)
        self.probe_all(ASYNC, gateway=urls, environment=environment)
        self.assertEqual(len(good.requests), count + len(ASYNC))

    def check_goes_on_in_time(self, first):
        for at in ("127.0.0.1", "unix"):
            good = self.make(at)
            self.probe_all([("several_connects", 3), *WAITERS], gateway=f"{first} {good.url()}", environment=QUICK)
            self.assertEqual(len(good.requests), 3 + len(WAITERS))

    def test_a_gateway_that_refuses(self):
        self.check_goes_on([self.dead()])
        self.check_goes_on([self.dead()], IPV6)
        self.check_goes_on([self.dead("::1"), self.dead()], IPV6_ONLY)

    def test_a_gateway_that_breaks_before_its_reply(self):
        for greeting in ("garbage", "cut", "reset", "none", "password", "mute"):
            with self.subTest(greeting):
                bad = self.make(greeting=greeting)
                self.check_goes_on([bad.url()])
                self.assertEqual(bad.accepted, 1 + len(ASYNC))

    def test_a_gateway_that_refuses_the_password(self):
        bad = self.make(greeting="password")
        self.check_goes_on([bad.url("ann:wrong@")])

    def test_a_gateway_that_is_silent(self):
        self.check_goes_on_in_time(self.make(greeting="silent").url())

    def test_a_gateway_whose_packets_are_lost(self):
        self.check_goes_on_in_time(LOST)

    def test_from_every_kind_to_every_other(self):
        bad = {at: self.make(at, greeting="cut") for at in ("127.0.0.1", "::1", "unix")}
        for last in bad:
            urls = [gateway.url() for at, gateway in bad.items() if at != last]
            with self.subTest(last=last):
                good = self.make(last)
                for environment in ({}, IPV6, IPV6_ONLY, IPV6_ONLY | {"PROBE_BOUND": "1"}):
                    for order in (urls, urls[::-1]):
                        self.probe_all([("blocking_echo", script.ECHO), *ASYNC], gateway=" ".join([*order, good.url()]),
                                       environment=environment)

    def test_back_to_the_programs_own_family(self):
        urls = [self.make("unix", greeting="cut").url(), self.make("::1", greeting="mute").url(), self.make().url()]
        self.probe("several_back_to_own", gateway=" ".join(urls))

    def test_commas_separate_as_well(self):
        self.probe("blocking_echo", script.ECHO, gateway=f"{self.dead()},{self.dead()}, {self.gateway.url()}")

    def test_a_list_in_the_file(self):
        with tempfile.NamedTemporaryFile("w", prefix="socks64-several-") as file:
            file.write(f"gateway = {self.dead()} {self.gateway.url()}  # two\nbalance = failover\n")
            file.flush()
            variables = {"SOCKS64_CONFIG": file.name, "SOCKS64_GATEWAY": ""}
            self.probe("blocking_echo", script.ECHO, environment=variables)

    def test_with_the_handshake_in_the_hands_of_a_relative(self):
        bad = self.make(greeting="cut")
        for who in ("child", "parent"):
            with self.subTest(who):
                self.probe("several_and_fork", who, gateway=f"{bad.url()} {self.gateway.url()}")

    def test_a_failing_destination_is_not_tried_elsewhere(self):
        other = self.make()
        urls = f"{self.gateway.url()} {other.url()}"
        self.probe("fail_blocking", script.REFUSE + 5, "ECONNREFUSED", gateway=urls)
        self.probe("fail_async", script.SOON_REFUSE + 4, "EHOSTUNREACH", "epoll_wait", gateway=urls)
        self.assertEqual((len(self.gateway.requests), other.accepted), (2, 0))

    def test_a_slow_destination_is_no_failing_gateway(self):
        other = self.make()
        self.probe("blocking_echo", script.LATE, gateway=f"{self.gateway.url()} {other.url()}", environment=QUICK)
        self.assertEqual((len(self.gateway.requests), other.accepted), (1, 0))

    def test_the_last_failure_is_the_one_that_is_told(self):
        self.probe("fail_blocking", script.ECHO, "EPROTO", gateway=f"{self.dead()} {self.make(greeting='garbage').url()}")
        self.probe("fail_blocking", script.ECHO, "ECONNREFUSED",
                   gateway=f"{self.make(greeting='garbage').url()} {self.dead('unix')}")
        for waiter in ("poll", "epoll_wait"):
            self.probe("fail_async", script.ECHO, "ECONNREFUSED", waiter,
                       gateway=f"{self.make('unix', greeting='garbage').url()} {self.dead()}")

    def dead(self, address="127.0.0.1"):
        if address == "unix":
            return "socks5+unix:///nowhere/gateway"
        return super().dead(address)

    def test_the_timeout_of_the_whole_connect_holds(self):
        silent = " ".join(self.make(greeting="silent").url() for _ in range(8))
        for case in (("fail_blocking",), ("fail_async", "poll"), ("fail_async", "epoll_wait")):
            with self.subTest(case):
                self.probe(case[0], script.ECHO, "ETIMEDOUT", *case[1:], 2000000, 4500000, gateway=silent,
                           environment=QUICK | {"SOCKS64_TIMEOUT": "2"})

    def test_diagnostics_name_the_gateway_and_no_secret(self):
        bad = self.make(greeting="garbage")
        outcome = self.run_probe("blocking_echo", script.ECHO, gateway=f"{bad.url('ann:secret@')} {self.gateway.url('u:hidden@')}",
                                 environment={"SOCKS64_LOG": "info"})
        self.check(outcome)
        self.assertRegex(outcome.stderr, rf"gave up the gateway 127\.0\.0\.1:{bad.port}: .*trying the next one")
        self.assertRegex(outcome.stderr, rf"connected to 192\.0\.2\.1:{script.ECHO} through 127\.0\.0\.1:{self.gateway.port}")
        self.assertNotRegex(outcome.stderr, "secret|hidden|ann")


class CoolDown(SeveralCase):
    def test_a_dead_gateway_is_left_out_for_a_while(self):
        bad = self.make(greeting="cut")
        self.probe("several_connects", 5, gateway=f"{bad.url()} {self.gateway.url()}")
        self.assertEqual((bad.accepted, len(self.gateway.requests)), (1, 5))

    def test_and_for_the_whole_fork_family(self):
        bad = self.make(greeting="cut")
        self.probe("several_children", 5, gateway=f"{bad.url()} {self.gateway.url()}")
        self.assertEqual((bad.accepted, len(self.gateway.requests)), (1, 5))

    def test_then_it_is_tried_again(self):
        bad = self.make(greeting="cut")
        self.probe("several_connects", 2, 1100, gateway=f"{bad.url()} {self.gateway.url()}",
                   environment={"SOCKS64_COOLDOWN": "1"})
        self.assertEqual(bad.accepted, 2)

    def test_a_cool_down_of_none(self):
        bad = self.make(greeting="cut")
        self.probe("several_connects", 3, gateway=f"{bad.url()} {self.gateway.url()}", environment={"SOCKS64_COOLDOWN": "0"})
        self.assertEqual(bad.accepted, 3)

    def test_one_gateway_alone_is_always_tried(self):
        bad = self.make(greeting="cut")
        self.probe("several_failures", 3, "ECONNRESET", gateway=bad.url())
        self.assertEqual(bad.accepted, 6)

    def test_when_all_are_cooling_down_all_are_tried(self):
        one, two = self.make(greeting="cut"), self.make("unix", greeting="cut")
        self.probe("several_failures", 3, "ECONNRESET", gateway=f"{one.url()} {two.url()}")
        self.assertEqual((one.accepted, two.accepted), (6, 6))


class Balance(SeveralCase):
    def counts(self, balance, count, probe="several_connects"):
        gateways = [self.make(at) for at in ("127.0.0.1", "::1", "unix")]
        self.probe(probe, count, gateway=" ".join(gateway.url() for gateway in gateways),
                   environment={"SOCKS64_BALANCE": balance})
        return [len(gateway.requests) for gateway in gateways]

    def test_failover_asks_the_first(self):
        self.assertEqual(self.counts("failover", 6), [6, 0, 0])

    def test_round_robin_asks_each_in_turn(self):
        self.assertEqual(self.counts("round-robin", 6), [2, 2, 2])
        self.assertEqual(self.counts("round-robin", 6, "several_children"), [2, 2, 2])

    def test_random_asks_all(self):
        counts = self.counts("random", 60)  # a miss: 3 * (2/3)^60
        self.assertEqual(sum(counts), 60)
        self.assertNotIn(0, counts)


class Resolver(threading.Thread):
    """A DNS server on 127.0.0.1:53 that knows one name."""

    def __init__(self, name, address):
        super().__init__(daemon=True)
        self.known, self.address, self.asked = name.encode(), socket.inet_aton(address), []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        self.start()

    def run(self):
        while True:
            try:
                query, client = self.socket.recvfrom(512)
                if len(query) < 17:
                    return
            except OSError:
                return
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]])
                at += 1 + query[at]
            question = query[12:at + 5]
            (kind,) = struct.unpack("!H", query[at + 1:at + 3])
            self.asked.append((b".".join(labels).decode(), kind))
            known = b".".join(labels) == self.known
            answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + self.address if known and kind == 1 else b""
            self.socket.sendto(query[:2] + (b"\x81\x80" if known else b"\x81\x83") + b"\0\1" +
                               struct.pack("!H", 1 if answer else 0) + b"\0\0\0\0" + question + answer, client)

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread
        except OSError:
            pass
        self.join()
        self.socket.close()


class ByName(SeveralCase):
    def run_with_files(self, files, *arguments, gateway, environment=None):
        """A probe that sees other files in /etc, in a mount namespace of its own."""
        unshare = shutil.which("unshare", path=os.environ.get("PATH", "") + ":/usr/bin:/bin")
        if unshare is None:
            self.skipTest("NOT RUN: no unshare command")
        folder = tempfile.TemporaryDirectory(prefix="socks64-files-")
        self.addCleanup(folder.cleanup)
        script_text = ""
        for name, text in files.items():
            with open(os.path.join(folder.name, name), "w") as file:
                file.write(text)
            script_text += f"mount --bind {folder.name}/{name} /etc/{name} && "
        return self.run_probe("-m", "/bin/sh", "-c", script_text + 'export LD_PRELOAD="$PROBE_PRELOAD" && exec "$@"', "sh",
                              PROBE, *arguments, gateway=gateway, program=unshare, preload=False,
                              environment={"PROBE_PRELOAD": PRELOAD} | (environment or {}))

    def test_a_name_of_this_host(self):
        # ::1 first, where nobody listens.
        url = f"socks5://localhost:{self.gateway.port}"
        self.probe("several_connects", 3, gateway=url)
        self.probe_all(ASYNC, gateway=url)
        self.assertEqual(len(self.gateway.requests), 3 + len(ASYNC))

    def test_all_addresses_of_a_name_are_tried(self):
        hosts = "203.0.113.1 gw.example\n127.0.0.1 gw.example\n"
        for probe in (("blocking_echo", script.ECHO), ("epoll_ready", "epoll_wait", "before", "edge")):
            self.check(self.run_with_files({"hosts": hosts}, *probe, gateway=f"socks5://Gw.Example:{self.gateway.port}",
                                           environment=QUICK))
        self.assertEqual(len(self.gateway.requests), 2)

    def test_a_name_that_DNS_knows_is_asked_for_once(self):
        resolver = Resolver("gw.example", "127.0.0.1")
        self.addCleanup(resolver.close)
        files = {"resolv.conf": "nameserver 127.0.0.1\noptions timeout:5 attempts:1\n", "nsswitch.conf": "hosts: files dns\n"}
        self.check(self.run_with_files(files, "several_children", 4, gateway=f"socks5://gw.example:{self.gateway.port}"))
        self.assertEqual(len(self.gateway.requests), 4)
        self.assertEqual({name for name, _ in resolver.asked}, {"gw.example"})
        # A and AAAA for the first child, and nothing for the others.
        self.assertLessEqual(len(resolver.asked), 2)

    def test_a_name_that_nobody_knows(self):
        resolver = Resolver("gw.example", "127.0.0.1")
        self.addCleanup(resolver.close)
        files = {"resolv.conf": "nameserver 127.0.0.1\noptions timeout:5 attempts:1\n", "nsswitch.conf": "hosts: files dns\n"}
        outcome = self.run_with_files(files, "several_failures", 2, "EHOSTUNREACH", gateway="socks5://nobody.example",
                                      environment={"SOCKS64_LOG": "error"})
        self.check(outcome)
        self.assertIn("the gateway's name nobody.example cannot be resolved: ", outcome.stderr)
        # Another gateway takes its place, and the name is left alone for the cool-down.
        resolver.asked.clear()
        self.check(self.run_with_files(files, "several_connects", 3, gateway=f"socks5://nobody.example {self.gateway.url()}"))
        self.assertEqual(len(self.gateway.requests), 3)
        self.assertLessEqual(len(resolver.asked), 2)
        # In the middle of a connect that has begun.
        bad = self.make(greeting="cut")
        for probe in ASYNC:
            self.check(self.run_with_files(files, *probe,
                                           gateway=f"{bad.url()} socks5://nobody.example {self.gateway.url()}"))

    def test_a_long_jump_out_of_resolving_leaves_no_door_open(self):
        # Nobody answers; libc gives up after a second, and then the signal comes.
        files = {"resolv.conf": "nameserver 203.0.113.53\noptions timeout:1 attempts:1\n", "nsswitch.conf": "hosts: files dns\n"}
        self.check(self.run_with_files(files, "several_jump_out", gateway="socks5://nobody.example"))
        seen = self.sniffer.destinations()
        self.assertIn("203.0.113.53", seen)
        self.assertNotIn("192.0.2.1", seen)

    def test_a_name_that_is_reached_by_failover(self):
        bad = self.make(greeting="cut")
        self.probe_all([("blocking_echo", script.ECHO), *ASYNC], gateway=f"{bad.url()} socks5://localhost:{self.gateway.port}")

    def test_the_programs_own_names_are_still_delegated(self):
        self.probe("by_name", "host.example", 4, script.ECHO, gateway=f"socks5://localhost:{self.gateway.port}")
        self.assert_asked(f"name host.example:{script.ECHO}")


class Credentials(SeveralCase):
    def run_with_secret(self, text, mode, *probe, environment=None):
        with tempfile.NamedTemporaryFile("w", prefix="socks64-secret-") as file:
            file.write(text)
            file.flush()
            os.chmod(file.name, mode)
            return self.run_probe(*probe, gateway=self.guarded.url(), environment={"SOCKS64_CREDENTIALS_FILE": file.name,
                                                                                 "SOCKS64_LOG": "info"} | (environment or {}))

    def setUp(self):
        super().setUp()
        self.guarded = self.make(greeting="password")

    def test_a_file_with_user_and_password(self):
        outcome = self.run_with_secret("ann:secret\n", 0o600, "blocking_echo", script.ECHO)
        self.check(outcome)
        self.assertEqual(self.guarded.requests[0].user, "ann")
        self.assertNotIn("secret\n", outcome.stderr)

    def test_a_file_that_everybody_may_read_closes(self):
        outcome = self.run_with_secret("ann:secret\n", 0o644, "fail_blocking", script.ECHO, "ENETDOWN")
        self.check(outcome)
        self.assertRegex(outcome.stderr, "SOCKS64_CREDENTIALS_FILE: '.*' may be read or written by every user")
        self.assertEqual(self.guarded.accepted, 0)


class Pipelining(SeveralCase):
    """A patient gateway answers nothing before it has the request: it takes a client that does not wait for answers."""

    on = {"SOCKS64_PIPELINING": "on"}

    def test_the_request_does_not_wait_for_the_greetings_answer(self):
        patient = self.make(greeting="patient")
        self.probe_all([("blocking_hello",), *ASYNC], gateway=patient.url(), environment=self.on)
        self.assertEqual(len(patient.requests), 1 + len(ASYNC))

    def test_nor_for_that_of_user_and_password(self):
        patient = self.make(greeting="patient")
        self.probe_all([("blocking_hello",), *ASYNC], gateway=patient.url("ann:secret@"), environment=self.on)
        self.assertEqual([request.user for request in patient.requests], ["ann"] * (1 + len(ASYNC)))

    def test_without_it_each_answer_is_waited_for(self):
        patient = self.make(greeting="patient")
        self.probe("fail_blocking", script.ECHO, "ETIMEDOUT", 1000000, 4500000, gateway=patient.url(),
                   environment={"SOCKS64_TIMEOUT": "1"})
        self.assertEqual(patient.requests, [])

    def test_a_refused_method_or_password_is_told_as_that(self):
        refusing = self.make(greeting="patient none")
        for credentials in ("", "ann:secret@"):
            self.probe("fail_blocking", script.ECHO, "EACCES", gateway=refusing.url(credentials), environment=self.on)
            self.probe("fail_async", script.ECHO, "EACCES", "epoll_wait", gateway=refusing.url(credentials),
                       environment=self.on)
        self.probe("fail_blocking", script.ECHO, "EACCES", gateway=self.make(greeting="patient").url("ann:wrong@"),
                   environment=self.on)

    def test_the_next_gateway_gets_all_of_it_again(self):
        refusing, patient = self.make("unix", greeting="patient none"), self.make(greeting="patient")
        self.probe_all([("blocking_hello",), *ASYNC], gateway=f"{refusing.url()} {patient.url()}", environment=self.on)
        self.assertEqual(len(patient.requests), 1 + len(ASYNC))


if __name__ == "__main__":
    main()
