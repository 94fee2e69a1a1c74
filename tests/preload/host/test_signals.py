"""Threads that are cancelled, handlers that jump, handlers that use sockets."""

import os
import unittest

from probe_case import ProbeCase, main

WAITS = ["poll", "ppoll", "select", "pselect", "epoll_wait", "epoll_pwait", "epoll_pwait2"]
INPUT = ["read", "readv", "recv", "recvfrom", "recvmsg", "recvmmsg"]
OUTPUT = ["write", "writev", "send", "sendto", "sendmsg", "sendmmsg"]
SANITIZE = os.environ.get("SOCKS64_TEST_SANITIZE", "")

not_under_asan = unittest.skipIf(SANITIZE == "address",
                                 "NOT RUN: ASan's stack poison outlives a cancelled thread's frames, and fails ASan's own "
                                 "sigaltstack(); builds without ASan test this")
not_under_tsan = unittest.skipIf(SANITIZE == "thread",
                                 "NOT RUN: TSan delivers signals late, at its own points; builds without TSan test this")


class Cancellation(ProbeCase):
    @not_under_asan
    def test_in_every_call_that_waits(self):
        self.probe_all([("cancelled_in", call) for call in ["connect"] + WAITS + INPUT + OUTPUT])

    @not_under_asan
    def test_in_calls_that_only_ever_say_EAGAIN(self):
        self.probe_all([("cancelled_in_a_busy_loop", call) for call in ["connect"] + INPUT + OUTPUT])

    @not_under_asan
    def test_a_cancelled_close_has_not_happened(self):
        self.probe("cancelled_close")


class Jumps(ProbeCase):
    @not_under_tsan
    def test_out_of_every_call_that_waits(self):
        self.probe_all([("jumps_out_of", call) for call in ["connect"] + WAITS + INPUT + OUTPUT])

    @not_under_tsan
    def test_out_of_calls_that_do_not_wait_leave_no_lock_behind(self):
        self.probe("jumps_out_of_short_calls")


class Handlers(ProbeCase):
    def check_handler(self, does):
        self.probe_all([("handler_uses_sockets", does, where) for where in ["connect"] + WAITS])

    def test_that_use_the_socket_that_is_waited_for(self):
        self.check_handler("same")

    def test_that_connect(self):
        self.check_handler("connect")

    def test_that_duplicate_and_close(self):
        self.check_handler("lifetime")

    def test_SIGIO(self):
        self.probe("signal_driven")


if __name__ == "__main__":
    main()
