"""Every blocking call of a program brings all its pending connects forward, and stays what it is."""

import os
import unittest

from probe_case import ProbeCase, main

SANITIZED = os.environ.get("SOCKS64_TEST_SANITIZE", "") != ""
CALLS = ("nanosleep clock_nanosleep usleep sleep thrd_sleep poll select epoll_wait pause sigsuspend sigwait sigwaitinfo sigtimedwait "
         "wait waitpid wait4 waitid read recv write accept connect").split()


class Progress(ProbeCase):
    def test_waited_for_one_after_the_other(self):
        for waiter in ("poll", "ppoll", "select", "pselect", "epoll_wait", "epoll_pwait"):
            with self.subTest(waiter=waiter):
                print(waiter, self.probe("progress_in_turn", waiter), end="")

    def test_during_any_blocking_call(self):
        self.probe_all([("progress_during", call) for call in CALLS], parallel=4)

    def test_more_of_them_than_poll_may_list(self):
        self.probe("progress_beyond_limit")

    def test_signals_end_calls_as_ever(self):
        self.probe("progress_interrupted")

    @unittest.skipIf(SANITIZED, "NOTHING WAS TESTED: a sanitizer takes what a cancelled thread leaves on its stack for in use")
    def test_a_blocked_thread_can_be_cancelled(self):
        self.probe("progress_cancelled")

    def test_the_child_of_a_vfork(self):
        self.probe("progress_vfork")


if __name__ == "__main__":
    main()
