"""The shim at SOCKS servers of others: programs that know nothing of a gateway, under socksify, with each server of
interop_servers.py in gatewayd's place; from both clients to an IPv4-only and an IPv6-only destination.
"""

import unittest

import interop
import topology
from interop_case import InteropCase, classes, say_what_is_absent
from interop_gateway import PASSWORD, USER
from interop_programs import Call, quoted

tearDownModule = say_what_is_absent


class Server(InteropCase):
    server = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not cls.server.missing():
            cls.addClassCleanup(cls.server.end)
            cls.server.start(cls.lab)

    def check(self, program):
        self.skip_without(self.server.missing())
        gateway = topology.HOSTS[self.client].gateways[0]
        call = Call(gateway, self.target(program.form), self.scratch)
        login = f"{USER}:{quoted(PASSWORD)}@" if self.server.password else ""
        argv = [self.lab.socksify, "-g", f"socks5://{login}{call.proxy}", *program.command(call)]
        reason = interop.server_reason(self.server, self.client, self.name, program.form)
        if reason:
            self.skip_after_trying(reason, program.kind, argv)
        self.assert_expected(program.kind, self.attempt(argv))


def tests_of(programs):
    def of(program):
        return lambda self: self.check(program)
    return {f"test_{program.slug}": of(program) for program in programs}


for server_ in interop.variants():
    globals().update(classes(Server, interop.server_slug(server_), tests_of(interop.SOCKSIFIED), __name__, server=server_))

if __name__ == "__main__":
    unittest.main()
