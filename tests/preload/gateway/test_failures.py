"""Reply codes become errnos, told once; a failing gateway is told apart; one failure never poisons the next connect."""

import socket
import unittest

from probe_case import IPV6, ProbeCase, main
import scripted_gateway as script

# shim/tables/policy.hpp
REPLY_ERRNO = {1: "ECONNABORTED", 2: "EACCES", 3: "ENETUNREACH", 4: "EHOSTUNREACH", 5: "ECONNREFUSED", 6: "ETIMEDOUT",
               7: "EOPNOTSUPP", 8: "EAFNOSUPPORT", 9: "ECONNABORTED", 91: "ECONNABORTED", 255: "ECONNABORTED"}
BROKEN_REPLY = {script.REPLY_GARBAGE: "EPROTO", script.REPLY_BAD_VERSION: "EPROTO", script.REPLY_CUT: "ECONNRESET",
                script.REPLY_RESET: "ECONNRESET", script.SOON_CUT: "ECONNRESET"}
WAITERS = ["poll", "ppoll", "__poll_chk", "select", "pselect", "epoll_wait", "epoll_pwait", "epoll_pwait2"]
REFUSED = script.SOON_REFUSE + 5


class DestinationFails(ProbeCase):
    def test_every_reply_code_on_a_blocking_connect(self):
        cases = [("fail_blocking", script.REFUSE + code, name) for code, name in REPLY_ERRNO.items()]
        self.probe_all(cases)
        self.probe_all(cases, environment=IPV6)

    def test_every_reply_code_on_a_non_blocking_connect(self):
        self.probe_all([("fail_async", script.REFUSE + code, name, "poll") for code, name in REPLY_ERRNO.items()])
        self.probe_all([("fail_async", script.SOON_REFUSE + code, name, "epoll_wait")
                        for code, name in REPLY_ERRNO.items()])

    def test_every_waiter_shows_the_failure(self):
        self.probe_all([("fail_async", REFUSED, "ECONNREFUSED", waiter) for waiter in WAITERS])

    def test_an_edge_triggered_registration_made_before_connect(self):
        self.probe("fail_edge", REFUSED, "ECONNREFUSED")

    def test_poll_without_events_shows_POLLERR_and_POLLHUP(self):
        self.probe("fail_poll_nothing", REFUSED, "ECONNREFUSED")

    def test_the_next_call_tells_the_error_when_nobody_asked_SO_ERROR(self):
        self.probe_all([("fail_told_by", call, REFUSED, "ECONNREFUSED")
                        for call in ("connect", "read", "write", "send", "recv")])

    def test_the_socket_is_unconnected_afterwards(self):
        self.probe("fail_then_unconnected")

    def test_the_next_connect_works_on_the_same_socket_and_on_a_new_one(self):
        self.probe_all([("fail_then_again", which, how) for which in ("same", "new") for how in ("blocking", "async")])

    def test_failures_do_not_disturb_connects_beside_them(self):
        self.probe("fail_among_others")

    @unittest.skipIf(script.AT == "unix", "NOT RUN: a UNIX socket hangs up when its peer closes (docs/limits.md)")
    def test_the_destinations_end_of_stream_is_no_failure(self):
        self.probe("end_of_stream")


class GatewayFails(ProbeCase):
    def check_both(self, port, errno_name, *times, **options):
        self.probe_all([("fail_blocking", port, errno_name, *times)] +
                       [("fail_async", port, errno_name, waiter, *times) for waiter in ("poll", "select", "epoll_wait")],
                       **options)

    def check_greeting(self, greeting, errno_name, credentials=""):
        gateway = script.ScriptedGateway(greeting=greeting)
        self.addCleanup(gateway.die)
        self.check_both(script.ECHO, errno_name, gateway=gateway.url(credentials))
        self.assertEqual(gateway.requests, [])

    def test_a_gateway_that_is_down(self):
        self.gateway.die()
        if script.AT == "unix":  # there connect(2) itself says so, also on a non-blocking socket
            self.probe("fail_blocking", script.ECHO, "ECONNREFUSED")
        else:
            self.check_both(script.ECHO, "ECONNREFUSED")

    def test_broken_replies(self):
        for port, errno_name in BROKEN_REPLY.items():
            self.check_both(port, errno_name)

    def test_garbage_instead_of_a_greeting(self):
        self.check_greeting("garbage", "EPROTO")

    def test_a_greeting_that_is_cut_off(self):
        self.check_greeting("cut", "ECONNRESET")

    def test_a_reset_during_the_greeting(self):
        self.check_greeting("reset", "ECONNRESET")

    def test_no_acceptable_method(self):
        self.check_greeting("none", "EACCES")

    def test_a_password_is_wanted_and_none_is_configured(self):
        self.check_greeting("password", "EACCES")

    def test_a_wrong_password(self):
        self.check_greeting("password", "EACCES", "ann:wrong@")

    def test_the_right_password_blocking_and_not(self):
        gateway = script.ScriptedGateway(greeting="password")
        self.addCleanup(gateway.die)
        self.probe_all([("blocking_hello",), ("scan_ready", "poll", "both"),
                        ("epoll_ready", "epoll_wait", "before", "edge")], gateway=gateway.url("ann:secret@"))
        self.assertEqual([request.user for request in gateway.requests], ["ann"] * 3)

    def test_a_greeting_octet_by_octet(self):
        gateway = script.ScriptedGateway(greeting="drip")
        self.addCleanup(gateway.die)
        self.probe_all([("blocking_echo", script.DRIP), ("scan_ready", "poll", "both")], gateway=gateway.url())

    def test_no_answer_times_out(self):
        self.check_both(script.NEVER, "ETIMEDOUT", 1000000, 2500000, environment={"SOCKS64_TIMEOUT": "1"})

    def test_a_silent_gateway_times_out(self):
        gateway = script.ScriptedGateway(greeting="silent")
        self.addCleanup(gateway.die)
        self.check_both(script.ECHO, "ETIMEDOUT", 1000000, 2500000, gateway=gateway.url(),
                        environment={"SOCKS64_TIMEOUT": "1"})

    def test_a_host_that_accepts_in_the_kernel_only_times_out(self):
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            self.check_both(script.ECHO, "ETIMEDOUT", 1000000, 2500000, environment={"SOCKS64_TIMEOUT": "1"},
                            gateway=f"socks5://127.0.0.1:{deaf.getsockname()[1]}")

    def test_a_gateway_whose_packets_are_lost_times_out(self):
        # 203.0.113.1 is behind the wire without a far end: the handshake does not even begin.
        self.check_both(script.ECHO, "ETIMEDOUT", 1000000, 2500000, environment={"SOCKS64_TIMEOUT": "1"},
                        gateway="socks5://203.0.113.1:1080")

    def test_diagnostics_tell_the_gateway_from_the_destination(self):
        refused = self.run_probe("fail_blocking", script.REFUSE + 5, "ECONNREFUSED",
                                 environment={"SOCKS64_LOG": "error"})
        self.check(refused)
        self.assertIn("the gateway answered", refused.stderr)
        self.assertIn("192.0.2.1", refused.stderr)
        broken = self.run_probe("fail_blocking", script.REPLY_CUT, "ECONNRESET", environment={"SOCKS64_LOG": "error"})
        self.check(broken)
        self.assertIn("the gateway failed", broken.stderr)
        quiet = self.run_probe("fail_blocking", script.REFUSE + 5, "ECONNREFUSED")
        self.assertEqual(quiet.stderr, "")


if __name__ == "__main__":
    main()
