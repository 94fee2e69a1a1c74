"""SOCKS clients of others at gatewayd: every program of interop.py from both clients to an IPv4-only and an IPv6-only
destination, by name and by address; the contents compared, and the crossing read from the access log.

What a program cannot do, whatever the gateway, it is made to try: the reason stands in docs/interop.md, which `lab.py interop`
makes from these tests, and when it succeeds the test fails.
"""

import tempfile
import time
import unittest

import interop
import topology
from case import GatewayTest, crossing
from hosts import LAB
from interop_case import InteropCase, classes, say_what_is_absent
from interop_gateway import DEMANDS_PASSWORD, PASSWORD, SOCKS4_LISTENER, USER, make_users_file
from interop_programs import Call

tearDownModule = say_what_is_absent


class Client(InteropCase, GatewayTest):
    socks = {}                      # of a Call, besides what the test says

    def check(self, program, form):
        self.skip_without(program.missing())
        call = Call(topology.HOSTS[self.client].gateways[0], self.target(form), self.scratch, program.socks, **self.socks)
        reason = program.reason(self.client, self.name, form)
        if reason:
            self.skip_after_trying(reason, program.kind, program.command(call))
        self.assert_expected(program.kind, self.attempt(program.command(call)))
        self.check_record(program, call, form)

    def check_record(self, program, call, form):
        asked_for = call.host
        if form == interop.NAME and program.asks:
            asked_for = self.destination.address(self.family)
        port = 22 if program.kind == interop.SHELL else 80
        # A program may send an address as such, or as a name that is one.
        record = self.one_of({f"{call.bracketed(asked_for)}:{port}", f"{asked_for}:{port}"})
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
    listener = SOCKS4_LISTENER


class Password(Client):
    socks = {"user": USER, "password": PASSWORD}
    configuration = DEMANDS_PASSWORD

    @classmethod
    def before_gateway(cls):
        make_users_file()


class Torsocks(GatewayTest):
    """It asks for the address of a name by RESOLVE, and reads an IPv4 one only: of both it must be told that."""

    def test_a_name_of_both_families(self):
        program = next(one for one in interop.PLAIN if one.title == "torsocks curl")
        if program.missing():
            self.skipTest(f"{program.missing()} is not installed")
        with tempfile.TemporaryDirectory(dir=f"{LAB}/tmp") as scratch:
            call = Call(topology.HOSTS["client4"].gateways[0], "both.test", scratch)
            said = self.run_on("client4", program.command(call))
        self.assertTrue(said.startswith(self.lab.site.front_page("dest46").encode()), said[:200])


def tests_of(programs):
    def of(program, form):
        return lambda self: self.check(program, form)
    return {interop.test_name(program, form): of(program, form) for program in programs for form in program.forms}


globals().update(classes(Client, "plain", tests_of(interop.PLAIN), __name__))
globals().update(classes(Socks4, "socks4", tests_of(interop.SOCKS4), __name__))
globals().update(classes(Password, "password", tests_of(interop.PASSWORD), __name__))

if __name__ == "__main__":
    unittest.main()
