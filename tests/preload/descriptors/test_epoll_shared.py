"""Sets inside sets, sets in several hands, and registrations that had their say before the connect."""

import os
import unittest

from probe_case import ProbeCase, main

SANITIZED = os.environ.get("SOCKS64_TEST_SANITIZE", "") != ""


class Nested(ProbeCase):
    def test_a_set_is_ready_when_the_destination_is_reached_and_not_before(self):
        for when in ("before", "after"):
            self.probe_all([("nested_is_ready_in_time", waiter, depth, "level", when)
                            for waiter in ("poll", "ppoll", "select", "pselect", "epoll_wait", "epoll_pwait2")
                            for depth in (0, 1, 2) if depth or not waiter.startswith("epoll")])

    def test_an_outer_registration_of_every_mode(self):
        self.probe_all([("nested_is_ready_in_time", "epoll_wait", depth, mode, when)
                        for mode in ("edge", "oneshot") for depth in (1, 2) for when in ("before", "after")])

    def test_what_is_ready_beside_a_pending_socket_shows(self):
        self.probe("nested_beside_ready_ones")

    def test_a_failure_shows(self):
        self.probe("nested_failure")


class Oneshots(ProbeCase):
    def test_one_that_is_spent_stays_so_until_it_is_armed_again(self):
        self.probe_all([("spent_oneshot", end, when, edge) for end in ("SOON", "REFUSE") for when in ("during", "after")
                        for edge in ("", "edge")])


class Relatives(ProbeCase):
    def test_the_child_connects_what_its_parent_registered(self):
        self.probe_all([("inherited_set", parent) for parent in ("idle", "waits", "gone")])

    def test_what_one_registers_after_the_fork_the_other_sees_as_it_is(self):
        self.probe_all([("set_of_both", who) for who in ("parent", "child")])


class Strangers(ProbeCase):
    def test_a_set_that_is_sent_away_shows_no_handshake_there(self):
        self.probe("passed_set")

    def test_a_socket_that_is_sent_away_is_a_stream_to_the_destination(self):
        self.probe_all([("passed_socket", when, how) for when in ("pending", "reached") for how in ("async", "blocking")])


class Calls(ProbeCase):
    @unittest.skipIf(SANITIZED, "NOT RUN: a sanitizer's epoll_ctl reads wrong memory itself, and dies of it")
    def test_epoll_ctl_of_wrong_memory_fails_as_the_kernel_says(self):
        self.probe("epoll_ctl_of_wrong_memory")

    def test_a_registration_beside_the_connect_of_another_thread(self):
        self.probe("registration_against_connect")


if __name__ == "__main__":
    main()
