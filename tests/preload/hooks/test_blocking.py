"""A blocking connect returns when the destination is reached; signals and SO_SNDTIMEO as connect(2) says."""

import os
import unittest

from probe_case import FORMS, ProbeCase, main
import scripted_gateway as script


class BlockingConnect(ProbeCase):
    def test_returns_when_the_destination_is_reached_and_not_before(self):
        self.probe_in_all_forms("blocking_returns_when_reached")

    def test_the_gateway_is_asked_for_the_dialled_address_and_nothing_else(self):
        expected = {"IPv4": "ipv4 192.0.2.1:2000", "IPv6": "ipv6 2001:db8::1:2000",
                    "IPv6 only": "ipv6 2001:db8::1:2000", "mapped": "ipv4 192.0.2.1:2000"}
        for form, environment in FORMS.items():
            with self.subTest(form=form):
                self.gateway.requests.clear()
                self.probe("blocking_echo", script.ECHO, environment=environment)
                self.assert_asked(expected[form])
        self.assertNotIn("192.0.2.1", self.sniffer.destinations())

    def test_a_signal_gives_EINTR_and_a_retry_completes(self):
        self.probe("blocking_interrupted_then_retried")
        self.assert_asked(f"ipv4 192.0.2.1:{script.SLOW}")

    def test_a_signal_gives_EINTR_and_a_poll_completes(self):
        self.probe("blocking_interrupted_then_polled")

    def test_many_signals_and_as_many_retries(self):
        self.probe("blocking_interrupted_many_times")
        self.assert_asked(f"ipv4 192.0.2.1:{script.SLOW}")

    @unittest.skipIf(os.environ.get("SOCKS64_TEST_SANITIZE") == "thread",
                     "NOT RUN: TSan puts handlers of its own in front, without SA_RESTART")
    def test_a_handler_with_SA_RESTART_does_not_interrupt(self):
        # ASan handles SIGSEGV and its kin itself, without SA_RESTART: then not every handler of the process restarts.
        options = os.environ.get("ASAN_OPTIONS", "") + ":handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0"
        self.probe("blocking_restarted", environment={"ASAN_OPTIONS": options})

    def test_SO_SNDTIMEO_gives_EINPROGRESS_and_the_connect_goes_on(self):
        self.probe("blocking_send_timeout")

    def test_a_generous_SO_SNDTIMEO_does_not_show(self):
        self.probe("blocking_generous_send_timeout")

    def test_SO_RCVTIMEO_does_not_limit_connect_and_works_afterwards(self):
        self.probe("blocking_receive_timeout_is_no_limit")

    def test_data_in_the_segment_of_the_reply_belongs_to_the_program(self):
        self.probe_in_all_forms("blocking_hello")

    def test_64_KiB_right_behind_the_reply_arrive_whole(self):
        self.probe("blocking_bulk")

    def test_replies_of_every_shape(self):
        self.probe_all([("blocking_echo", port) for port in (script.DRIP, script.BND_NAME, script.BND_IPV6)])

    def test_with_pipelining(self):
        for probe in (("blocking_hello",), ("blocking_bulk",), ("blocking_echo", script.DRIP),
                      ("blocking_returns_when_reached",)):
            with self.subTest(probe[0]):
                self.probe(*probe, environment={"SOCKS64_PIPELINING": "on"})


if __name__ == "__main__":
    main()
