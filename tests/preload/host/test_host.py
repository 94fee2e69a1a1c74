"""The process around the sockets, and a gateway that ends at any moment."""

import os
import socket
import threading
import unittest

from probe_case import PRELOAD, ProbeCase, main
import scripted_gateway as script

SANITIZE = os.environ.get("SOCKS64_TEST_SANITIZE", "")
LIBRARY = os.environ.get("SOCKS64_TEST_LIBRARY", "")

not_sanitized = unittest.skipIf(SANITIZE != "", "NOT RUN: a sanitizer brings a malloc and a fork of its own")


class Processes(ProbeCase):
    @not_sanitized
    def test_forks_that_libc_hears_nothing_of(self):
        self.probe_all([("unseen_fork", how) for how in ("fork", "clone", "_Fork")])

    def test_daemon_while_pending(self):
        self.probe("daemon_while_pending")

    def test_without_root_user_and_proc(self):
        self.probe("root_and_user_taken_away")

    def test_without_descriptors(self):
        self.probe_all([("no_descriptors_allowed", how) for how in ("blocking", "epoll", "again")])

    @not_sanitized
    def test_before_all_constructors_and_behind_main(self):
        self.assertEqual(self.probe("early_and_late"), "destroyed\n")

    @not_sanitized
    def test_a_malloc_that_uses_descriptors(self):
        busy = os.environ["SOCKS64_TEST_MALLOC_LIBRARY"]
        self.probe_all([("under_a_busy_malloc",)], environment={"LD_PRELOAD": f"{busy}:{PRELOAD}"})
        self.probe_all([("under_a_busy_malloc",)], environment={"LD_PRELOAD": f"{PRELOAD}:{busy}"})


class Diagnostics(ProbeCase):
    LOUD = {"SOCKS64_LOG": "info"}

    def test_never_reach_a_socket_that_has_the_number_of_standard_error(self):
        self.assertEqual(self.probe("sockets_as_standard_streams", environment=self.LOUD), "good\n")

    def test_raise_no_SIGPIPE(self):
        self.probe("standard_error_is_gone", environment=self.LOUD)


ANSWERS = b"\x05\x00" + b"\x05\x00\x00" + script.BND_V4


class CutGateway:
    """Says the first `count` octets of what a gateway says, and then does something else."""

    def __init__(self, count, then):
        self.count, self.then = count, then
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.open = []
        self.threads = []
        self._start(self._accept)

    def url(self):
        return f"socks5://127.0.0.1:{self.listener.getsockname()[1]}"

    def close(self):
        """Closes when no thread can use a descriptor any more: the next gateway gets its number."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.threads[0].join()
        for connection in self.open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # its client is gone, or it was closed
        for thread in self.threads[1:]:
            thread.join()
        for each in (self.listener, *self.open):
            each.close()

    def _start(self, target, *arguments):
        self.threads.append(threading.Thread(target=target, args=arguments, daemon=True))
        self.threads[-1].start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection):
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.count > 0:
                connection.recv(3, socket.MSG_WAITALL)
                connection.sendall(ANSWERS[:min(self.count, 2)])
            if self.count > 2:
                connection.recv(10, socket.MSG_WAITALL)
                connection.sendall(ANSWERS[2:self.count])
            self._end(connection)
        except OSError:
            pass

    def _end(self, connection):
        if self.then == "close":
            connection.close()
        elif self.then == "half-close":
            connection.shutdown(socket.SHUT_WR)
        elif self.then == "reset":
            script.reset(connection)
        elif self.then == "garbage":
            connection.sendall(b"\xff" * 300)
        elif self.then == "endless":
            while True:
                connection.sendall(b"\xff\x00\x05" * 5000)


class GatewayEnds(ProbeCase):
    """At every octet of what it says."""

    def check_ends(self, then, allowed, points, how=("blocking", "epoll", "poll"), **options):
        for count in points:
            gateway = CutGateway(count, then)
            self.addCleanup(gateway.close)
            for each in how:
                with self.subTest(then=then, octets=count, how=each):
                    said = self.probe("fails_somehow", each, gateway=gateway.url(), **options)
                    self.assertIn(said.strip(), allowed)

    def test_with_an_end_of_stream(self):
        self.check_ends("close", ["ECONNRESET"], range(len(ANSWERS)))
        self.check_ends("half-close", ["ECONNRESET"], range(len(ANSWERS)))

    def test_with_a_reset(self):
        self.check_ends("reset", ["ECONNRESET", "EPIPE"], range(len(ANSWERS)))

    def test_in_garbage(self):
        # From the address on, everything is an address.
        self.check_ends("garbage", ["EPROTO", "EACCES", "ECONNABORTED"], range(6))

    def test_in_garbage_without_end(self):
        self.check_ends("endless", ["EPROTO", "EACCES", "ECONNABORTED"], range(6))

    def test_with_silence(self):
        self.check_ends("silence", ["ETIMEDOUT"], [0, 1, 2, 3, 6, 11], environment={"SOCKS64_TIMEOUT": "1"})

    def test_a_connection_that_ends_behind_the_reply_is_connected(self):
        self.check_ends("half-close", ["connected"], [len(ANSWERS)], how=("blocking",))


if __name__ == "__main__":
    main()
