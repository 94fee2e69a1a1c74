"""Programs that wait in epoll sets by system calls of their own, which no hook sees."""

import errno
import os
import time

import scripted_gateway as gateway
from probe_case import ProbeCase, main

RAW_LOOP = os.environ.get("SOCKS64_TEST_RAW_LOOP", "")
ORDERS = ("add-last", "add-first")
REFUSED = gateway.SOON_REFUSE + 5


class RawLoop(ProbeCase):
    """One that imports no wait at all: it is known before its first connect."""

    def loop(self, *arguments):
        self.probe(*arguments, program=RAW_LOOP)

    def test_it_hears_of_the_destination_alone(self):
        for order in ORDERS:
            for port in (gateway.ECHO, gateway.SOON, gateway.DRIP):
                with self.subTest(order=order, port=port):
                    self.loop(order, port, "echo")

    def test_a_refusal_is_an_error_event(self):
        for order in ORDERS:
            for port in (REFUSED, gateway.REFUSE + 5):
                with self.subTest(order=order, port=port):
                    self.loop(order, port, errno.ECONNREFUSED)

    def test_twenty_at_once(self):
        self.loop("add-last", gateway.ECHO, "echo", 20)

    def test_a_silent_destination_ends_with_the_timeout(self):
        started = time.monotonic()
        self.probe("add-last", gateway.NEVER, errno.ETIMEDOUT, program=RAW_LOOP, environment={"SOCKS64_TIMEOUT": "1"})
        self.assertLess(time.monotonic() - started, 5)


class RawWait(ProbeCase):
    def test_beside_a_thread_that_waits_raw(self):
        self.probe("raw_beside_thread", gateway.SOON)
        self.probe("raw_beside_thread", REFUSED, "ECONNREFUSED")

    def test_where_nothing_tells_in_time(self):
        self.probe("raw_unknown", gateway.SOON)
        self.probe("raw_unknown", REFUSED, "ECONNREFUSED")

    def test_a_first_connect_before_the_first_wait_stays_asynchronous(self):
        for order in ORDERS:
            with self.subTest(order=order):
                print(self.probe("raw_first_wait", order), end="")


if __name__ == "__main__":
    main()
