"""What once went wrong. Each test is one symptom that a program saw, and no program should see again."""

import os
import unittest

from fake_case import FakeCase
from probe_case import IPV6, IPV6_ONLY, MUSL, PROBE, ProbeCase, main
import scripted_gateway as script

SANITIZED = os.environ.get("SOCKS64_TEST_SANITIZE", "") != ""
LOST = "socks5://203.0.113.1:1080"  # behind the wire without a far end
FAKE, HOST = "0.0.0.77", "192.0.2.1"


class Duplicates(ProbeCase):
    def test_closing_duplicates_of_a_direct_connection_ends(self):
        self.probe("duplicates_after_direct_connect")

    def test_a_duplicate_in_epoll_keeps_its_events_when_the_first_number_is_reused(self):
        self.probe_all([("duplicate_keeps_its_events", how) for how in ("close", "fclose")])


class ReusedNumbers(ProbeCase):
    def test_no_connect_succeeds_or_fails_because_other_threads_look_at_its_number(self):
        self.probe("threads_watch_a_reused_number")
        # Most sockets are closed before their request is written, on a busy machine all of them.
        asked = {request.port for request in self.gateway.requests}
        self.assertLessEqual(asked, {script.NEVER, script.ECHO})
        self.assertIn(script.ECHO, asked)

    def test_a_file_or_an_accepted_connection_under_the_number_of_a_failed_connect_works(self):
        self.probe("failure_does_not_outlive_its_socket")

    def test_a_second_thread_in_connect_does_not_take_the_connection_from_the_first(self):
        self.probe("second_connect_leaves_the_first")
        self.assert_asked(f"ipv4 192.0.2.1:{script.SLOW}")

    def test_every_thread_that_waits_for_one_connect_hears_of_it(self):
        waiters = ("poll", "ppoll", "select", "pselect", "epoll_wait")
        self.probe_all([("threads_wait_for_one_connect", waiter) for waiter in waiters])
        self.probe_all([("threads_wait_for_one_connect", waiter, "connect") for waiter in ("poll", "epoll_wait")])

    def test_5000_pending_connects_given_up_beside_forks(self):
        self.probe("forks_with_connects_given_up", gateway=LOST)

    def test_a_process_that_is_stopped_and_continued_connects(self):
        self.probe("stopped_and_continued")


class Waits(ProbeCase):
    def test_a_second_EPOLL_CTL_ADD_leaves_the_first_registration_alive(self):
        self.probe_all([("second_add_is_harmless", how) for how in ("0", "et")])

    def test_a_loop_of_short_waits_hears_of_the_deadline(self):
        waiters = ("epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect")
        self.probe_all([("deadline_in_a_loop", waiter, "idle") for waiter in waiters],
                       environment={"SOCKS64_TIMEOUT": "1"})

    def test_a_loop_that_is_busy_with_others_hears_of_the_deadline(self):
        self.probe_all([("deadline_in_a_loop", waiter, "busy") for waiter in ("epoll_wait", "epoll_pwait2")],
                       environment={"SOCKS64_TIMEOUT": "1"})

    def test_a_loop_hears_of_the_deadline_of_a_gateway_whose_packets_are_lost(self):
        self.probe_all([("deadline_in_a_loop", waiter, "idle") for waiter in ("epoll_wait", "poll", "select")],
                       environment={"SOCKS64_TIMEOUT": "1"}, gateway=LOST)

    def test_select_leaves_what_stands_behind_its_sets_alone(self):
        self.probe_all([("select_beyond_its_sets", count) for count in ("table", 1024, 16384, 2**31 - 1)])

    def test_select_on_sets_larger_than_fd_set(self):
        self.probe("select_on_large_sets")

    def test_a_huge_timeout_is_a_long_one(self):
        self.probe_all([("huge_timeout", call) for call in ("select", "pselect", "ppoll", "epoll_pwait2", "receive")])

    @unittest.skipIf(SANITIZED, "NOT RUN: a sanitizer's poll reads wrong memory itself, and dies of it")
    def test_poll_of_wrong_memory_fails_as_the_kernel_says(self):
        self.probe("poll_of_wrong_memory")


class OtherWaysIn(ProbeCase):
    def test_pwritev2_and_preadv2_wait_for_the_destination(self):
        self.probe("vector_calls_without_an_offset")

    def test_FIONREAD_counts_nothing_of_the_handshake(self):
        self.probe("octets_of_the_handshake_are_not_counted")

    @unittest.skipIf(MUSL, "NOT RUN: they are glibc's")
    def test_the_second_names_of_libcs_calls_go_through_the_gateway_too(self):
        self.probe("second_names_of_the_calls")
        self.assert_asked(*[f"ipv4 192.0.2.1:{script.SOON_HELLO}"] * 2)
        self.probe("second_names_of_the_calls", environment=IPV6)


class Datagrams(FakeCase):
    def test_a_datagram_whose_address_says_AF_UNSPEC_is_refused(self):
        self.probe("unspecified_family", FAKE, "EHOSTUNREACH")
        self.probe("unspecified_family", FAKE, "EHOSTUNREACH", environment={"SOCKS64_UDP": "direct"})
        self.probe("unspecified_family", HOST, "ENETUNREACH")
        self.assert_nothing_sent()

    def test_a_datagram_whose_address_says_AF_UNSPEC_reaches_this_host(self):
        self.probe("unspecified_family_to_this_host")

    def test_the_kernel_does_send_what_says_AF_UNSPEC(self):
        # Without this, silence would prove nothing.
        self.probe("unspecified_family", FAKE, "sent", preload=False)
        self.assertIn(FAKE, self.sniffer.destinations())
        self.probe("unspecified_family", HOST, "sent", environment={"SOCKS64_UDP": "direct"})
        self.assertIn(HOST, self.sniffer.destinations())

    def test_MSG_FASTOPEN_on_a_datagram_socket_neither_sends_to_a_fake_nor_connects(self):
        self.probe("fast_open_datagram", FAKE, "EHOSTUNREACH")
        self.probe("fast_open_datagram", FAKE, "EHOSTUNREACH", environment={"SOCKS64_UDP": "direct"})
        self.probe("fast_open_datagram", HOST, "ENETUNREACH")
        self.assert_nothing_sent()
        self.probe("fast_open_datagram", HOST, "sent", environment={"SOCKS64_UDP": "direct"})
        self.assertIn(HOST, self.sniffer.destinations())
        self.assertEqual(self.gateway.accepted, 0)


class TheProgramsOwn(ProbeCase):
    def test_the_signal_mask_of_a_forked_child(self):
        self.probe("a_child_has_its_parents_signal_mask")

    def test_IPV6_V6ONLY_is_what_the_program_set(self):
        self.probe("v6only_stays", environment=IPV6_ONLY)

    @unittest.skipIf(SANITIZED, "NOT RUN: a sanitizer's shadow memory does not fit into a limited address space")
    @unittest.skipIf(MUSL, "NOT RUN: the shell that sets the limit has another libc")
    def test_connects_under_a_limit_of_the_address_space(self):
        for kibibytes in (60000, 40000):
            with self.subTest(kibibytes=kibibytes):
                self.probe("-c", f'ulimit -v {kibibytes} && exec "$0" connects_in_little_memory', PROBE,
                           program="/bin/sh")


if __name__ == "__main__":
    main()
