"""Fail closed: what no gateway carries does not leave; unconnected streams; signals in waiting I/O."""

from fake_case import FakeCase
from probe_case import ProbeCase, main


class NoGatewayForThem(FakeCase):
    def test_datagram_raw_and_other_sockets_send_nothing(self):
        for address in ("192.0.2.1", "2001:db8::1", "0.0.0.77", "100::77"):
            with self.subTest(address):
                self.probe("nothing_leaves", address)
        self.assert_nothing_sent()
        self.assertEqual(self.gateway.accepted, 0)


class Unconnected(ProbeCase):
    def test_sends_answer_as_without_the_library(self):
        self.assert_same_without("unconnected_sends")


class WaitingIo(ProbeCase):
    def test_is_restarted_as_the_handler_says(self):
        self.probe_all([("io_is_restarted", how, call) for how in ("restart", "interrupt", "timeout")
                        for call in ("read", "write")])

    def test_a_reader_and_a_writer_on_one_pending_socket(self):
        self.probe("reader_and_writer")

    def test_eight_threads_ask_one_pending_socket_everything(self):
        self.probe("asked_by_many")


if __name__ == "__main__":
    main()
