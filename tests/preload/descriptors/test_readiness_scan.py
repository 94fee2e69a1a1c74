"""Readiness by poll and select: never ready before the destination is reached, never for an octet of SOCKS."""

from probe_case import IPV6, ProbeCase, main

SCANNING = ["poll", "ppoll", "__poll_chk", "__ppoll_chk", "select", "pselect"]
EPOLL = ["epoll_wait", "epoll_pwait", "epoll_pwait2"]
MASKED = ["ppoll", "pselect", "epoll_pwait", "epoll_pwait2"]


class ScanningWaits(ProbeCase):
    def test_ready_when_reached_for_every_waiter_and_interest(self):
        cases = [("scan_ready", waiter, interest) for waiter in SCANNING for interest in ("out", "in", "both")]
        self.probe_all(cases)
        self.probe_all(cases, environment=IPV6)

    def test_a_waiter_for_input_alone_does_not_see_the_gateways_replies(self):
        self.probe_all([("scan_readable_only", waiter) for waiter in SCANNING])

    def test_a_timeout_is_honoured_neither_early_nor_late(self):
        self.probe_all([("scan_timeout", waiter) for waiter in SCANNING], parallel=4)

    def test_poll_reports_an_ordinary_descriptor_beside_a_pending_one(self):
        self.probe("scan_mixed_poll")

    def test_select_reports_an_ordinary_descriptor_beside_a_pending_one(self):
        self.probe("scan_mixed_select")

    def test_lists_with_the_same_an_invalid_and_no_descriptor(self):
        self.probe("scan_odd_lists")

    def test_a_list_of_600_descriptors(self):
        self.probe("scan_many")

    def test_duplicates_made_before_and_after_connect(self):
        self.probe("scan_duplicate")

    def test_a_wait_is_interrupted_by_a_signal_and_never_restarted(self):
        self.probe_all([("wait_interrupted", waiter) for waiter in SCANNING + EPOLL])

    def test_a_signal_mask_lets_a_signal_in(self):
        self.probe_all([("mask_lets_in", waiter) for waiter in MASKED])

    def test_a_signal_mask_keeps_a_signal_out_for_the_whole_wait(self):
        self.probe_all([("mask_keeps_out", waiter) for waiter in MASKED])

    def test_raw_poll_gets_a_correct_stream(self):
        self.probe("raw_poll")

    def test_each_question_alone_ends_the_handshake_for_a_raw_waiter(self):
        self.probe_all([("asked_after_raw_waits", what) for what in ("SO_ERROR", "getpeername", "connect", "write")])

    def test_epoll_by_syscall_is_as_by_its_functions(self):
        self.probe_all([("raw_wait_in_epoll", what) for what in ("both", "ctl", "wait")])

    def test_raw_epoll_gets_a_correct_stream(self):
        self.probe("raw_epoll")


if __name__ == "__main__":
    main()
