"""I/O on a socket whose connect is not over."""

from probe_case import ProbeCase, main

OUTPUT = ["write", "writev", "send", "sendto", "sendmsg", "sendmmsg", "sendfile", "splice"]
INPUT = ["read", "__read_chk", "__recv_chk", "readv", "recv", "recvfrom", "recvmsg", "recvmmsg", "splice"]


class PendingIo(ProbeCase):
    def test_output_on_a_blocking_socket_waits_for_the_destination(self):
        self.probe_all([("output_waits", call) for call in OUTPUT])

    def test_input_on_a_blocking_socket_waits_for_the_destination(self):
        self.probe_all([("input_waits", call) for call in INPUT])

    def test_the_wait_honours_the_sockets_timeouts_and_MSG_DONTWAIT(self):
        self.probe("io_wait_is_limited")

    def test_a_failed_connect_fails_the_io_that_waits_without_SIGPIPE(self):
        self.probe("io_wait_fails")

    def test_a_signal_handler_writes_to_a_pending_socket(self):
        self.probe("handler_writes")


if __name__ == "__main__":
    main()
