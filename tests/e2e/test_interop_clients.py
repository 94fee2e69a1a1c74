"""SOCKS clients of others at gatewayd: every program of interop.py from both clients to an IPv4-only and an IPv6-only
destination, by name and by address; the contents compared, and the crossing read from the access log.

What a program cannot do, whatever the gateway, it is made to try: the reason stands in docs/interop.md, which `lab.py interop`
makes from these tests, and when it succeeds the test fails.
"""

import os
import shutil
import subprocess
import sys
import time
import unittest

import interop
import topology
from case import GatewayTest, crossing
from hosts import LAB
from interop_programs import FILE, PASSWORD, USER, Call

ABSENT = set()


def tearDownModule():
    if ABSENT:
        print("E2E DID NOT RUN: programs that are not installed: " + ", ".join(sorted(ABSENT)) + " (tools/deps breadth)",
              file=sys.stderr)


def users_file(lab):
    """Of one user, made by gatewayd itself."""
    path = f"{LAB}/users"
    if not os.path.exists(path):
        entry = subprocess.run([lab.gateway.program, "passwd", USER], input=f"{PASSWORD}\n".encode(), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, check=False)
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
            file.write(entry.stdout)
    return path


class Client(GatewayTest):
    """The classes made below name client and destination; the methods are made from the rows of interop.py."""

    client = name = None
    socks = {}                      # of a Call, besides what the test says
    configuration = listener = ""   # TOML of the gateway, and of each listener
    absent = ""                     # what this gatewayd lacks if it refuses that configuration

    @classmethod
    def setUpClass(cls):
        super(GatewayTest, cls).setUpClass()
        if not cls.lab.gateway.accepts(cls.configuration, cls.listener):
            raise unittest.SkipTest(f"this gatewayd has no {cls.absent}")
        cls.lab.gateway.start(cls.configuration, cls.listener)
        cls.addClassCleanup(cls.lab.gateway.end)

    def setUp(self):
        super().setUp()
        self.scratch = f"{LAB}/tmp/{self.id()}"
        os.makedirs(self.scratch, exist_ok=True)
        self.addCleanup(shutil.rmtree, self.scratch)
        self.destination = topology.HOSTS[topology.SERVED_BY[self.name].host]
        self.family = interop.FAMILY[self.name]

    def expected_output(self, kind):
        with open(f"{LAB}/www{FILE}", "rb") as file:
            content = file.read()
        return {interop.WEB: self.lab.site.front_page(self.destination.name).encode() + content,
                interop.SHELL: f"{self.destination.name}\n".encode() + content,
                interop.ONE_FILE: content,
                interop.PAGE: self.lab.site.front_page(self.destination.name).encode()}[kind]

    def attempt(self, program, form, timeout=60):
        target = self.name if form == interop.NAME else self.destination.address(self.family)
        call = Call(topology.HOSTS[self.client].gateways[0], target, self.scratch, program.socks, **self.socks)
        return call, self.lab.run_on(self.client, program.command(call), timeout=timeout, directory=self.scratch)

    def check(self, program, form):
        missing = program.missing()
        if missing:
            ABSENT.add(missing)
            self.skipTest(f"{missing} is not installed")
        reason = program.reason(self.client, self.name, form)
        if reason:
            self.check_that_it_cannot(program, form)
            self.skipTest(reason)
        call, done = self.attempt(program, form)
        said = f"{done.stderr.decode(errors='replace')}\n{done.stdout[-500:]!r}"
        self.assertEqual(done.returncode, 0, said)
        expected = self.expected_output(program.kind)
        if program.kind == interop.PAGE:
            self.assertIn(expected.strip(), done.stdout, said)
        else:
            self.assertTrue(done.stdout == expected, f"{len(done.stdout)} octets instead of {len(expected)}: {said}")
        self.check_record(program, call, form)

    def check_that_it_cannot(self, program, form):
        try:
            _, done = self.attempt(program, form, timeout=4)
            self.assertFalse(done.returncode == 0 and self.expected_output(program.kind) in done.stdout,
                             "it can by now: take its Cannot out of interop.py")
        except subprocess.TimeoutExpired:
            pass
        self.lab.leaks()  # it may go past the gateway, which does not speak against the gateway

    def check_record(self, program, call, form):
        asked_for = call.host
        if form == interop.NAME and program.asks:
            asked_for = self.destination.address(self.family)
        port = 22 if program.kind == interop.SHELL else 80
        # A program may send an address as such, or as a name that is one.
        written = {f"{call.bracketed(asked_for)}:{port}", f"{asked_for}:{port}"}
        record = self.one_of(written)
        self.assertEqual(record.crossing, crossing(self.client, self.family), record)

    def one_of(self, targets, seconds=10):
        deadline = time.monotonic() + seconds
        while True:
            every = self.lab.gateway.records(self.mark)
            for record in every:
                if record.target in targets:
                    return record
            self.assertLess(time.monotonic(), deadline, f"no access record for {targets}; records since: {every}")
            time.sleep(0.02)


class Socks4(Client):
    listener, absent = "socks4 = true", "SOCKS4"


class Password(Client):
    socks = {"user": USER, "password": PASSWORD}
    configuration = f'[auth]\nmethods = ["password"]\nusers_file = "{LAB}/users"'
    absent = "authentication"

    @classmethod
    def setUpClass(cls):
        super(GatewayTest, cls).setUpClass()
        users_file(cls.lab)
        super().setUpClass()


def test_of(program, form):
    def test(self):
        self.check(program, form)
    return test


def classes(base, group, programs):
    made = {}
    for client, name in interop.PAIRS:
        title = f"{client}_to_{name.partition('.')[0]}_{group}"
        tests = {f"test_{program.slug}_by_{form}": test_of(program, form) for program in programs for form in program.forms}
        made[title] = type(title, (base,), {"client": client, "name": name, "__module__": __name__, **tests})
    return made


globals().update(classes(Client, "plain", interop.PLAIN))
globals().update(classes(Socks4, "socks4", interop.SOCKS4))
globals().update(classes(Password, "password", interop.PASSWORD))

if __name__ == "__main__":
    unittest.main()
