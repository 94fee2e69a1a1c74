"""SOCKS clients of others that use UDP ASSOCIATE and BIND; otherwise as test_interop_clients.py."""

import os
import signal
import socket
import subprocess
import threading
import unittest

import breadth_services
import interop
import raw_socks as raw
import topology
from case import GatewayTest
from interop_case import InteropCase, classes, say_what_is_absent
from interop_inbound import FIRST, LENGTH, THANKS
from interop_programs import Call
from protocol_case import FAMILIES, Echo, of_an_association

tearDownModule = say_what_is_absent

SENT = b"from the peer\n" * 5000


class Inbound(InteropCase, GatewayTest):
    def call(self, form):
        return Call(topology.HOSTS[self.client].gateways[0], self.target(form), self.scratch)


class Udp(Inbound):
    def unwanted(self, leaks):
        return [line for line in leaks if not of_an_association(line)]

    def check(self, program, form):
        self.skip_without(program.missing())
        echo = Echo(self.lab, self.family)
        self.addCleanup(echo.close)
        argv = program.command(self.call(form), echo.port)
        reason = program.reason(self.client, self.name, form)
        if reason:
            self.skip_after_trying(reason, program.kind, argv)
        self.assert_expected(program.kind, self.attempt(argv))
        gateway = topology.HOSTS[self.destination.name].gateways[0]
        self.assertEqual({sender[0] for sender in echo.senders}, {gateway})
        self.assertEqual(len(set(echo.senders)), 1, "one port for a family")

    def expected_output(self, kind):
        return FIRST + b"x" * LENGTH


class Bind(Inbound):
    def check(self, program, form):
        self.skip_without(program.missing())
        self.assertIsNone(program.reason(self.client, self.name, form))
        process = self.lab.hosts[self.client].start(program.command(self.call(form)), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        late = threading.Timer(40, os.killpg, (process.pid, signal.SIGKILL))
        late.start()
        self.addCleanup(late.cancel)
        with process:
            line = process.stdout.readline().split()
            if len(line) != 2:
                self.fail(process.stderr.read().decode(errors="replace"))
            with self.lab.hosts[self.destination.name].socket(FAMILIES[self.family], socket.SOCK_STREAM) as peer:
                peer.settimeout(30)
                peer.connect((line[0].decode(), int(line[1])))
                peer.sendall(SENT)
                peer.shutdown(socket.SHUT_WR)
                seen = process.stdout.read()
                self.assertTrue(seen == SENT, f"{len(seen)} octets instead of {len(SENT)}")
                self.assertEqual(raw.take_all(peer), THANKS)


class ActiveFtp(Inbound):
    def check(self, program, form):
        self.skip_without(program.missing())
        absent = breadth_services.start(self.lab, "ftpd")
        self.skip_without(absent)
        argv = program.command(self.call(form))
        reason = program.reason(self.client, self.name, form)
        if reason:
            self.skip_after_trying(reason, program.kind, argv)
        self.assert_expected(program.kind, self.attempt(argv))
        # Dante's client names the server whose connection it has, and no port.
        for record in self.records(f"{self.target(form)}:0"):
            self.assertEqual((record.command, record.reply), ("bind", "0"), record)


def tests_of(programs):
    def of(program, form):
        return lambda self: self.check(program, form)
    return {interop.test_name(program, form): of(program, form) for program in programs for form in program.forms}


globals().update(classes(Udp, "udp", tests_of(interop.UDP), __name__))
globals().update(classes(Bind, "bind", tests_of(interop.BIND), __name__))
globals().update(classes(ActiveFtp, "ftp", tests_of(interop.ACTIVE_FTP), __name__))

if __name__ == "__main__":
    unittest.main()
