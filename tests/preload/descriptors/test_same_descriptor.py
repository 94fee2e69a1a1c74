"""The same descriptor after connect, none of the library's own, and libc's error codes."""

import unittest

from probe_case import FORMS, IPV6, IPV6_ONLY, MUSL, ProbeCase, main
import scripted_gateway as script

own_socket_reaches_the_gateway = unittest.skipIf(
    script.AT != "ipv4", "NOT RUN: for a moment another socket is needed; see test_any_gateway.py")


class SameDescriptor(ProbeCase):
    def test_number_inode_flags_and_options_after_a_blocking_connect(self):
        self.check_picture("blocking")

    def test_number_inode_flags_and_options_after_a_non_blocking_connect(self):
        self.check_picture("async")

    def test_flags_changed_while_pending_hold(self):
        self.probe("same_flags_changed_while_pending")

    def test_a_bound_local_port_is_the_one_the_gateway_sees(self):
        self.check_local_port({})
        self.check_local_port(IPV6)

    @unittest.skipIf(script.AT == "unix", "NOT RUN: a UNIX socket has no ports")
    def test_a_bound_V6ONLY_socket_keeps_its_port_to_a_gateway_of_either_family(self):
        # The kernel lets nobody clear IPV6_V6ONLY once a socket is bound: for 127.0.0.1 it takes another.
        for address in ("127.0.0.1", "::1"):
            gateway = script.ScriptedGateway(address=address)
            self.addCleanup(gateway.die)
            port = int(self.probe("same_local_port", environment=IPV6_ONLY, gateway=gateway.url()))
            self.assertEqual([request.source_port for request in gateway.requests], [port])

    def check_picture(self, how):
        for form, environment in FORMS.items():
            # All but the inode, where the program's own socket cannot reach the gateway.
            swapped = script.AT == "unix" or (script.AT == "ipv6" and form == "IPv4")
            with self.subTest(form=form):
                self.probe("same_picture", how, environment=environment | ({"PROBE_SWAPPED": "1"} if swapped else {}))

    def check_local_port(self, environment):
        self.gateway.requests.clear()
        port = int(self.probe("same_local_port", environment=environment))
        seen = None if script.AT == "unix" else port
        self.assertEqual([request.source_port for request in self.gateway.requests], [seen])

    @own_socket_reaches_the_gateway
    def test_no_descriptor_is_needed_for_a_blocking_connect(self):
        self.probe("same_at_descriptor_limit", "blocking")

    @own_socket_reaches_the_gateway
    def test_no_descriptor_is_needed_for_a_non_blocking_connect(self):
        self.probe_all([("same_at_descriptor_limit", waiter) for waiter in ("poll", "select", "epoll")])

    def test_a_child_has_no_descriptor_of_the_library(self):
        self.assert_same_without("child_descriptors")

    def test_a_program_that_does_nothing_has_no_descriptor_of_the_library(self):
        self.assert_same_without("list_descriptors")


class SameErrors(ProbeCase):
    @unittest.skipIf(MUSL, "NOT RUN: musl itself dies of a null message")
    def test_wrong_arguments_get_the_errors_of_libc(self):
        self.assert_same_without("wrong_arguments")

    def test_a_pending_socket_answers_as_one_whose_destination_is_silent(self):
        plain = self.probe("pending_answers", script.NEVER, preload=False)
        if script.AT != "ipv4":
            # Given up with AF_UNSPEC, the program's own socket is a new one: it has an error to tell of, but not ECONNRESET.
            self.assertIn("so_error(fd) = 104 -\n", plain)
            plain = plain.replace("so_error(fd) = 104 -\n", "so_error(fd) = 111 -\n")
        self.assertEqual(plain, self.probe("pending_answers", script.NEVER))

    def test_an_unconnected_socket_answers_as_without_the_library(self):
        self.assert_same_without("unconnected_answers")


class DirectConnections(ProbeCase):
    def test_a_connection_to_this_host_is_the_same_without_the_library(self):
        self.assert_same_without("direct_connection", "127.0.0.1")
        self.assertEqual(self.gateway.accepted, 0)

    def test_a_connection_to_this_host_from_an_IPv6_socket(self):
        self.assert_same_without("direct_connection", "::1")
        self.assert_same_without("direct_connection", "::ffff:127.0.0.1")
        self.assertEqual(self.gateway.accepted, 0)

    def test_unix_sockets_are_left_alone(self):
        self.assert_same_without("unix_connection")


if __name__ == "__main__":
    main()
