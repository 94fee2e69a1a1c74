"""Introspection: getpeername, getsockname, a second connect, AF_UNSPEC, fast open."""

from probe_case import ProbeCase, main
import scripted_gateway as script


class Introspection(ProbeCase):
    def test_getpeername_is_the_dialled_address_and_ENOTCONN_before(self):
        self.probe_in_all_forms("peer_is_what_was_dialled")

    def test_getsockname_has_the_sockets_family_and_the_gateways_port(self):
        for port in (script.ECHO, script.BND_IPV6, script.BND_NAME):
            self.probe_in_all_forms("local_port_is_the_gateways", port)


class ConnectAgain(ProbeCase):
    def test_EALREADY_then_0_then_EISCONN(self):
        self.probe_in_all_forms("second_connect")

    def test_a_loop_of_connect_calls_completes(self):
        self.probe("second_connect_loop")

    def test_AF_UNSPEC_while_pending(self):
        self.probe("unspecified", "pending")

    def test_AF_UNSPEC_after_a_failure(self):
        self.probe("unspecified", "failed")

    def test_AF_UNSPEC_once_connected(self):
        self.probe("unspecified", "connected")


class OtherBeginnings(ProbeCase):
    def test_MSG_FASTOPEN_and_TCP_FASTOPEN_CONNECT(self):
        self.probe_all([("fast_open", by, how) for by in ("sendto", "sendmsg", "option") for how in ("blocking", "async")])
        self.assertNotIn("192.0.2.1", self.sniffer.destinations())

    def test_sendto_with_an_address_on_a_stream(self):
        self.probe("stream_send_with_address")

    def test_shutdown_while_pending(self):
        self.probe("shutdown_while_pending")

    def test_a_half_close_reaches_the_destination(self):
        self.probe("shutdown_once_connected")


if __name__ == "__main__":
    main()
