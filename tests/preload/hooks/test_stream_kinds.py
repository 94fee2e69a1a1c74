"""Sockets of every kind, in every state."""

import socket
import unittest

from probe_case import FORMS, IPV6, IPV6_ONLY, ProbeCase, main
import scripted_gateway as script

MULTIPATH = {"PROBE_PROTOCOL": "262"}


def multipath_tcp_is_there():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).close()
        return True
    except OSError:
        return False


@unittest.skipUnless(multipath_tcp_is_there(), "NOT RUN: this kernel has no Multipath TCP")
class MultipathTcp(ProbeCase):
    """As if it were TCP: curl, and all under mptcpize."""

    def test_blocking_connects(self):
        for form in FORMS.values():
            self.probe_all([("blocking_returns_when_reached",), ("blocking_hello",), ("blocking_bulk",),
                            ("blocking_send_timeout",)], environment={**form, **MULTIPATH})
        self.assertGreaterEqual(len(self.gateway.requests), 16)

    def test_non_blocking_connects(self):
        self.probe_all([("scan_ready", waiter, "both") for waiter in ("poll", "select")] +
                       [("epoll_ready", "epoll_wait", when, mode) for when in ("before", "after")
                        for mode in ("level", "edge", "oneshot")], environment=MULTIPATH)

    def test_failures(self):
        self.probe_all([("fail_blocking", script.REFUSE + 5, "ECONNREFUSED"),
                        ("fail_async", script.SOON_REFUSE + 5, "ECONNREFUSED", "poll"),
                        ("fail_async", script.SOON_REFUSE + 5, "ECONNREFUSED", "epoll_wait"),
                        ("fail_blocking", script.REPLY_RESET, "ECONNRESET"),
                        ("fail_then_again", "new", "blocking"), ("fail_then_again", "new", "async")],
                       environment=MULTIPATH)


class OtherSockets(ProbeCase):
    def test_listening_accepted_and_directly_connected_ones_answer_as_without_the_library(self):
        self.assert_same_without("connect_of_other_sockets")

    def test_bound_ones(self):
        self.probe("connect_of_bound_sockets")

    def test_one_that_was_connected_past_the_gateway_before(self):
        self.probe_all([("direct_then_gateway", how) for how in ("reached", "refused")])


class Pending(ProbeCase):
    def test_every_other_call_answers_as_without_the_library(self):
        self.assert_same_without("pending_answers_beside")

    def test_a_low_water_mark_stops_no_handshake(self):
        self.probe_all([("low_water_mark", waiter) for waiter in ("poll", "select", "epoll_wait")])

    def test_O_NONBLOCK_on_and_off(self):
        self.probe("blocking_toggled")

    def test_a_close_that_lingers(self):
        self.probe("closed_with_linger")

    def test_stdio(self):
        self.probe("stdio_while_pending")


class FastOpen(ProbeCase):
    def test_counts_and_contents(self):
        self.probe("fast_open_bulk")
        self.probe("fast_open_bulk", environment=IPV6)

    def test_a_refusal_is_that_of_connect(self):
        self.probe_all([("fast_open_refused", how) for how in ("blocking", "async")])

    def test_sendmmsg(self):
        self.probe("fast_open_many")


if __name__ == "__main__":
    main()
