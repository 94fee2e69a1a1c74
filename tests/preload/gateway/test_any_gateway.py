"""A socket of any family reaches a gateway of any kind. The other groups run over each kind as well (connect.cmake)."""

import os
import tempfile

from probe_case import IPV4, IPV6, IPV6_ONLY, ProbeCase, main
import scripted_gateway as script

BOUND = IPV6_ONLY | {"PROBE_BOUND": "1"}


class AnyGateway(ProbeCase):
    """Every pair in which the program's own socket cannot dial the gateway."""

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="socks64-any-")
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "gateway")
        self.at = {at: script.ScriptedGateway(address) for at, address in
                   (("ipv6", "::1"), ("ipv4", "127.0.0.1"), ("unix", self.path))}
        for gateway in self.at.values():
            self.addCleanup(gateway.die)
        self.pairs = [("ipv6", IPV4), ("ipv4", BOUND), ("unix", IPV4), ("unix", IPV6), ("unix", BOUND)]

    def probe_all_pairs(self, *arguments):
        for at, environment in self.pairs:
            with self.subTest(gateway=at, environment=environment):
                self.probe(*arguments, gateway=self.at[at].url(), environment=environment)

    def test_the_gateway_is_asked_and_nothing_else(self):
        self.probe_all_pairs("blocking_echo", script.ECHO)
        for at, expected in (("ipv6", ["ipv4 192.0.2.1:2000"]), ("ipv4", ["ipv6 2001:db8::1:2000"]),
                             ("unix", ["ipv4 192.0.2.1:2000"] + ["ipv6 2001:db8::1:2000"] * 2)):
            self.assertEqual([repr(request) for request in self.at[at].requests], expected)
        self.assertFalse({"192.0.2.1", "2001:db8::1"} & self.sniffer.destinations())

    def test_asynchronous_readiness(self):
        for probe in (("epoll_ready", "epoll_wait", "before", "edge"), ("epoll_ready", "epoll_wait", "after", "level"),
                      ("scan_ready", "poll", "both"), ("scan_ready", "select", "out")):
            self.probe_all_pairs(*probe)

    def test_failures(self):
        self.probe_all_pairs("fail_blocking", script.REFUSE + 4, "EHOSTUNREACH")
        self.probe_all_pairs("fail_async", script.SOON_REFUSE + 5, "ECONNREFUSED", "epoll_wait")
        self.probe_all_pairs("fail_edge", script.SOON_REFUSE + 5, "ECONNREFUSED")

    def test_it_says_of_itself_what_the_program_made(self):
        for probe in ("peer_is_what_was_dialled", "second_connect", "any_options"):
            self.probe_all_pairs(probe)
        for at, environment in self.pairs:
            if environment is not BOUND:  # else it is the program's port
                self.probe("local_port_is_the_gateways", script.ECHO, gateway=self.at[at].url(), environment=environment)

    def test_duplicates_and_their_registrations(self):
        self.probe_all_pairs("any_duplicates")

    def test_it_is_the_programs_own_again_after_a_failure(self):
        for how in ("blocking", "async", "unspecified"):
            for at, environment in (("ipv6", IPV4), ("unix", IPV4), ("unix", IPV6), ("ipv4", IPV6), ("ipv4", IPV6_ONLY)):
                with self.subTest(how, gateway=at):
                    self.probe("any_own_again", how, gateway=self.at[at].url(), environment=environment)

    def test_flags_and_owner_of_signals(self):
        self.probe_all_pairs("any_signal_driven")

    def test_a_socket_that_was_made_before_a_fork(self):
        self.probe_all_pairs("any_child_dials")

    def test_no_descriptor_for_the_moment_of_the_swap_fails_with_EMFILE(self):
        self.probe_all_pairs("swap_at_descriptor_limit")

    def test_the_destination_of_an_IPv6_gateway_elsewhere(self):
        # Not the loopback: the wire without a far end. IPv6 packets leave, to the gateway alone.
        self.probe("fail_blocking", script.ECHO, "ETIMEDOUT", gateway="socks5://[2001:db8::9]:1080",
                   environment={"SOCKS64_TIMEOUT": "1"})
        self.assertFalse({"192.0.2.1"} & self.sniffer.destinations())


class UnixGateway(ProbeCase):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="socks64-any-")
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "gateway")

    def test_user_and_password(self):
        gateway = script.ScriptedGateway(self.path, greeting="password")
        self.addCleanup(gateway.die)
        self.probe("blocking_echo", script.ECHO, gateway=gateway.url("ann:secret@"))
        self.assertEqual(gateway.requests[0].user, "ann")

    def test_nobody_listens(self):
        self.probe("fail_blocking", script.ECHO, "ECONNREFUSED", gateway="socks5+unix://" + self.path)
        open(self.path, "w").close()
        self.probe("fail_blocking", script.ECHO, "ECONNREFUSED", gateway="socks5+unix://" + self.path)

    def test_a_full_queue_is_waited_for(self):
        gateway = script.ScriptedGateway(self.path, backlog=0)
        self.addCleanup(gateway.die)
        for waiter in ("poll", "select", "epoll"):
            with self.subTest(waiter):
                self.probe("async_fifty", waiter, gateway=gateway.url())
        self.assertEqual(len(gateway.requests), 150)


if __name__ == "__main__":
    main()
